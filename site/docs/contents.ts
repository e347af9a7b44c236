/** A page of the docs by the file that it is made of, and its name in the list of pages. */
export type Entry = readonly [file: string, name: string];

/** The list of pages, in groups. Every file of docs/ stands in it. */
export const CONTENTS: readonly (readonly [group: string, readonly Entry[]])[] = [
  [
    "Start",
    [
      ["README.md", "Overview"],
      ["docs/install.md", "Installing"],
      ["docs/fine-tuning.md", "Fine-tuning, step by step"],
      ["docs/status.md", "What works, and what does not"],
    ],
  ],
  [
    "Train",
    [
      ["docs/data.md", "Data"],
      ["docs/models.md", "Models"],
      ["docs/hub.md", "Models from the hub"],
      ["docs/quantization.md", "Quantized weights"],
      ["docs/distributed.md", "Several processes"],
    ],
  ],
  [
    "Use",
    [
      ["docs/generation.md", "Generation"],
      ["docs/serving.md", "Talking and serving"],
      ["docs/export.md", "Exporting and merging"],
    ],
  ],
  [
    "Program",
    [
      ["docs/library.md", "The library"],
      ["docs/browser.md", "In a browser"],
      ["docs/adapters.md", "Adapters, from the mathematics to the code"],
      ["notebooks/low-rank-adapters.ipynb", "The same as a notebook, with pictures"],
      ["examples", "Examples"],
    ],
  ],
  [
    "Look up",
    [
      ["docs/commands.md", "Commands"],
      ["docs/settings.md", "Settings"],
      ["docs/errors.md", "Errors"],
    ],
  ],
  [
    "Studies",
    [
      ["docs/studies.md", "Comparing runs, sweeps, studies"],
      ["docs/when-to-restart.md", "When to restart"],
      ["docs/when-to-restart/facts.html", "The report on facts"],
      ["docs/when-to-restart/shift.html", "The report on a shifted domain"],
      ["docs/when-to-restart/language.html", "The report on a real model"],
      ["docs/relora-study.md", "ReLoRA against LoRA and full rank"],
      ["docs/relora-study/report.html", "The report of that study"],
      ["docs/performance.md", "Performance"],
      ["bench/README.md", "Benchmarks"],
    ],
  ],
  [
    "Trust",
    [
      ["docs/crash-safety.md", "Crash safety"],
      ["docs/hostile-files.md", "Hostile files"],
      ["docs/supply-chain.md", "Supply chain"],
      ["docs/dependencies.md", "Dependencies"],
    ],
  ],
  [
    "Take part",
    [
      ["docs/architecture.md", "Architecture"],
      ["CONTRIBUTING.md", "Contributing"],
      ["CHANGELOG.md", "Changes"],
    ],
  ],
];
