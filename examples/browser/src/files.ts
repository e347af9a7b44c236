// The site's private files, in which highrank reads its data and writes its runs.

async function handleOf(path: string, create = false): Promise<FileSystemFileHandle> {
  let folder = await navigator.storage.getDirectory();
  const names = path.split("/");
  for (const name of names.slice(0, -1)) folder = await folder.getDirectoryHandle(name);
  return folder.getFileHandle(names.at(-1)!, { create });
}

export async function writeText(path: string, text: string): Promise<void> {
  const file = await (await handleOf(path, true)).createWritable();
  await file.write(text);
  await file.close();
}

export async function hasFile(path: string): Promise<boolean> {
  return handleOf(path).then(
    () => true,
    () => false,
  );
}

/** A link that saves a file. */
export async function download(path: string): Promise<HTMLAnchorElement> {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await handleOf(path)).getFile());
  link.download = link.textContent = path.split("/").at(-1)!;
  return link;
}
