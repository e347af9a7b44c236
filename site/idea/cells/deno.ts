/**
 * What cells use of Deno: pictures, and a folder for a while, which is in the page's own file system.
 * @param draw shows a picture.
 */
export function deno(draw: (svg: string) => void): object {
  const root = () => navigator.storage.getDirectory();
  return {
    jupyter: { svg: (parts: TemplateStringsArray, ...values: unknown[]) => draw(String.raw(parts, ...values)) },
    async makeTempDir(): Promise<string> {
      const name = `notebook-${crypto.randomUUID()}`;
      await (await root()).getDirectoryHandle(name, { create: true });
      return name;
    },
    async writeTextFile(path: string, text: string): Promise<void> {
      const [folder, name] = path.split("/") as [string, string];
      const file = await (await (await root()).getDirectoryHandle(folder)).getFileHandle(name, { create: true });
      const stream = await file.createWritable();
      await stream.write(text);
      await stream.close();
    },
    remove: async (path: string, options?: FileSystemRemoveOptions) => (await root()).removeEntry(path, options),
  };
}
