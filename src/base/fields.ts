import { z } from "zod";

// Fields of what is kept as JSON. A table of them is at once the type of a record, its check, and its documentation.

/** An object of these fields. */
export type Fields<Shape extends z.ZodRawShape> = { readonly [Key in keyof Shape]: z.output<Shape[Key]> };

/** A whole number of 0 or more. */
export const COUNT: z.ZodType<number> = z.int().min(0);

/** A number that was computed. JSON has null for those that are not finite. */
export const MEASURED: z.ZodType<number> = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

/** A number, or null where it is not known. */
export const IF_KNOWN: z.ZodType<number | null> = z.number().nullable();

export const TEXT: z.ZodType<string> = z.string();

/** An object of these fields, and of others that a later version may have added. */
export function objectOf<Shape extends z.ZodRawShape>(shape: Shape): z.ZodType<Fields<Shape>> {
  return z.looseObject(shape) as z.ZodType<Fields<Shape>>;
}

/** An array of such objects. */
export function listOf<Shape extends z.ZodRawShape>(shape: Shape): z.ZodType<readonly Fields<Shape>[]> {
  return z.array(objectOf(shape));
}

/** The faults of a parse, each with the path to the field. */
export function fieldFaults({ issues }: z.ZodError): string[] {
  return issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}
