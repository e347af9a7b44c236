/** A text of 405 short documents that a tiny model learns something from in a few steps. */
export function animalText(): string {
  const animals = ["cat", "dog", "hen", "cow", "pig", "owl", "fox", "bee", "ant"];
  const deeds = ["sleeps", "runs", "eats", "sings", "jumps"];
  const sentences = animals.flatMap((animal) =>
    deeds.flatMap((deed) => animals.map((other) => `The ${animal} ${deed} and the ${other} sees it.`)),
  );
  return sentences.join("\n\n");
}
