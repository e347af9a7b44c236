/** A file with its path below what was chosen or dropped. */
export interface PickedFile {
  readonly path: string;
  readonly file: File;
}

/** Those of an input, of single files or of a folder. */
export function pickedIn(input: HTMLInputElement): PickedFile[] {
  return [...(input.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Lets files be dropped on an element. */
export function onDrop(place: HTMLElement, listener: (files: PickedFile[]) => void): void {
  const take = (isOver: boolean) => (event: DragEvent) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    place.classList.toggle("over", isOver);
    if (event.type === "drop") void droppedIn(event.dataTransfer).then(listener);
  };
  place.addEventListener("dragover", take(true));
  for (const type of ["dragleave", "drop"] as const) place.addEventListener(type, take(false));
}

async function droppedIn({ items }: DataTransfer): Promise<PickedFile[]> {
  // Entries must be asked for before the event has passed.
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  const files: PickedFile[] = [];
  for (const entry of entries) await collect(entry, files);
  return files;
}

async function collect(entry: FileSystemEntry, files: PickedFile[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    files.push({ path: entry.fullPath.replace(/^\//, ""), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  while (true) {
    // A reader gives some at a time, and none at the end.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const each of some) await collect(each, files);
  }
}
