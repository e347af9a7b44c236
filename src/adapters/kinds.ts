/** The kinds of adapter that a run can train: LoRA, DoRA and cores between frozen bases (LoRA-XS). */
export const ADAPTER_KINDS = ["lora", "dora", "core"] as const;
export type AdapterKind = (typeof ADAPTER_KINDS)[number];

/** Every kind that a run can name at present. */
export function adapterKinds(): readonly (AdapterKind | (string & {}))[] {
  return ADAPTER_KINDS;
}
