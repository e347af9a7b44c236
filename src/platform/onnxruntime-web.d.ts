// The package is optional and large, and what is used of it has the types of onnxruntime-common.
declare module "onnxruntime-web/wasm" {
  export * from "onnxruntime-common";
}
declare module "onnxruntime-web/webgpu" {
  export * from "onnxruntime-common";
}
declare module "onnxruntime-web/jspi" {
  export * from "onnxruntime-common";
}
