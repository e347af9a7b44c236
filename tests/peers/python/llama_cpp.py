"""llama.cpp's own quantization of GGUF files, as the libraries of node-llama-cpp have it."""

import ctypes
from pathlib import Path


class Params(ctypes.Structure):
    """The first fields of llama_model_quantize_params, with room for the others."""

    _fields_ = [("nthread", ctypes.c_int32), ("ftype", ctypes.c_int32), ("rest", ctypes.c_ubyte * 248)]


def quantize(binaries, path, types):
    """Writes the file once for each number of a file type in `types`, to the path that belongs to it."""
    [folder] = Path(binaries).glob("*/bins/*")
    loaded = [ctypes.CDLL(str(_library(folder, name)), ctypes.RTLD_GLOBAL) for name in ("ggml-base", "ggml", "llama")]
    llama = loaded[-1]
    llama.llama_model_quantize_default_params.restype = Params
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Params)]
    llama.llama_log_set(_QUIET, None)
    for out, number in types.items():
        params = llama.llama_model_quantize_default_params()
        params.nthread, params.ftype = 1, number
        status = llama.llama_model_quantize(path.encode(), out.encode(), ctypes.byref(params))
        assert status == 0, f"{out}: llama_model_quantize returned {status}"


_QUIET = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


def _library(folder, name):
    return next(path for path in folder.iterdir() if path.name.startswith((f"lib{name}.so", f"lib{name}.v", f"lib{name}.dylib")))
