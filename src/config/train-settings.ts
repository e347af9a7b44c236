// Written by `npx vitest run src/config -u` from the declarations in settings.ts.
import type { Settings } from "./settings.js";

/** Settings of a training run; all that are left out have their defaults. */
export interface TrainSettings {
  /**
   * A size preset, trained from random weights, or a model that has learned, to fine-tune: a Hugging Face folder, a
   * GGUF file, a name of the hub, or a run.
   *
   * Value: text.
   * Default: small.
   */
  readonly model?: Settings["model"] | undefined;
  /**
   * Training data: a .jsonl, .json, .csv, .tsv, .parquet, .txt or .md file, a folder of them, a data set of the hub
   * (organisation/name or organisation/name:CONFIG), or builtin:NAME.
   *
   * Value: text.
   * Default: builtin:wordnet.
   */
  readonly data?: Settings["data"] | undefined;
  /**
   * Columns or keys whose names do not say what they are, as ROLE=COLUMN:
   * prompt=question,completion=answer,system=persona.
   *
   * Value: a list of ROLE=COLUMN, or a mapping.
   * Default: none.
   */
  readonly columns?: Settings["columns"] | Readonly<Record<string, string | number>> | undefined;
  /**
   * Part of a text file that is one document; between documents stands an end of text.
   *
   * Value: one of file, paragraph, line, or null.
   * Default: null: paragraphs of .txt, sections of .md.
   */
  readonly document?: Settings["document"] | undefined;
  /**
   * Template that messages are rendered with: one of the tokenizer's by name, a file, or a built-in one: chatml,
   * llama3, gemma, mistral, phi, zephyr, alpaca, vicuna.
   *
   * Value: text, or null.
   * Default: null: the tokenizer's own.
   */
  readonly chatTemplate?: Settings["chatTemplate"] | undefined;
  /**
   * Day that chat templates are told, such as 2026-03-31.
   *
   * Value: text, or null.
   * Default: null: today; a run keeps the day of its start.
   */
  readonly chatDate?: Settings["chatDate"] | undefined;
  /**
   * Put what the tokenizer puts around a text, such as <bos>, around texts, prompts and instructions. Chat templates
   * write it themselves.
   *
   * Value: true or false.
   * Default: true.
   */
  readonly addSpecialTokens?: Settings["addSpecialTokens"] | undefined;
  /**
   * Score prompts and the turns of all roles, not only completions and what the assistant wrote.
   *
   * Value: true or false.
   * Default: false.
   */
  readonly trainOnInputs?: Settings["trainOnInputs"] | undefined;
  /**
   * auto is joined for text and separate for other data. separate: the samples of a batch stand one after another, and
   * none sees another; joined: text is cut into full rows, and several whole samples share a row, where each sees
   * those before it; none: each has a padded row.
   *
   * Value: one of auto, separate, joined, none.
   * Default: auto.
   */
  readonly packing?: Settings["packing"] | undefined;
  /**
   * A tokenizer.json, the folder that holds it, a run, or a model of the hub.
   *
   * Value: text, or null.
   * Default: null: the model folder's own; for a size preset one is trained on the data.
   */
  readonly tokenizer?: Settings["tokenizer"] | undefined;
  /**
   * Size of the vocabulary when a tokenizer is trained.
   *
   * Value: an integer of at least 257 and at most 1000000, in tokens.
   * Default: 4096.
   */
  readonly vocabSize?: Settings["vocabSize"] | undefined;
  /**
   * Data that are held out for evaluation: a file or a folder, as for data.
   *
   * Value: text, or null.
   * Default: null: files for validation in the data's folder, or else a share of the data.
   */
  readonly validData?: Settings["validData"] | undefined;
  /**
   * Folder for the tokens of large data, from which a resume takes them; runs may share it.
   *
   * Value: text, or null.
   * Default: null: in the run folder.
   */
  readonly tokenCache?: Settings["tokenCache"] | undefined;
  /**
   * Most that kept tokens take, 4 bytes for each of a text and 8 for each of a sample; data of less than 4 million
   * tokens are not kept. 0 keeps none.
   *
   * Value: a number of at least 0, in GiB.
   * Default: 4.
   */
  readonly tokenCacheLimit?: Settings["tokenCacheLimit"] | undefined;
  /**
   * Share of the documents or samples held out for evaluation, where no data for validation are named.
   *
   * Value: a number above 0 and at most 0.5.
   * Default: 0.02.
   */
  readonly validationFraction?: Settings["validationFraction"] | undefined;
  /**
   * full trains every weight; lora trains adapters; relora merges and restarts them again and again, which pays where
   * adapters of the rank that memory allows are full before the run ends (docs/when-to-restart.md); where they are
   * not, lora does as well. qlora is lora with quantize nf4.
   *
   * Value: one of full, lora, relora.
   * Default: relora.
   */
  readonly method?: Settings["method"] | undefined;
  /**
   * A PEFT adapter of the model, a folder or a name of the hub, from which training goes on: its factors, rank, alpha,
   * dropout, targets, kind, and what it trains in full.
   *
   * Value: text, or null.
   * Default: null: the adapters start anew.
   */
  readonly adapterFrom?: Settings["adapterFrom"] | undefined;
  /**
   * lora trains A and B; dora also the lengths of the adapted weights' rows (DoRA, Liu et al. 2024), for method lora
   * alone; core a rank × rank core between two frozen bases (LoRA-XS, Bałazy et al. 2024), which span the leading
   * directions of the gradient, at first and after each merge: many directions of few weights.
   *
   * Value: one of lora, dora, core.
   * Default: lora.
   */
  readonly adapterKind?: Settings["adapterKind"] | undefined;
  /**
   * Rank of each adapter; at most the smaller side of every layer it is put on.
   *
   * Value: an integer of at least 1.
   * Default: 32.
   */
  readonly rank?: Settings["rank"] | undefined;
  /**
   * The update is scaled by alpha / rank (alpha / √rank with rslora).
   *
   * Value: a number above 0.
   * Default: the rank, so that the scaling is 1.
   */
  readonly alpha?: Settings["alpha"] | undefined;
  /**
   * Scale by alpha / √rank (Kalajdzievski 2023).
   *
   * Value: true or false.
   * Default: false.
   */
  readonly rslora?: Settings["rslora"] | undefined;
  /**
   * Dropout on the input of the adapters.
   *
   * Value: a number of at least 0 and below 1.
   * Default: 0.
   */
  readonly dropout?: Settings["dropout"] | undefined;
  /**
   * How A starts, at first and after each merge; B starts at zero. kaiming and gaussian are PEFT's.
   *
   * Value: one of xavier, kaiming, gaussian.
   * Default: xavier.
   */
  readonly adapterInit?: Settings["adapterInit"] | undefined;
  /**
   * Linear layers that get an adapter: all-linear is all of the decoder's; else the ends of their paths, such as
   * q_proj or 3.mlp.up_proj, or regular expressions of Python's for whole paths.
   *
   * Value: a list of names.
   * Default: all-linear.
   */
  readonly targetModules?: Settings["targetModules"] | undefined;
  /**
   * Layers among them that get none, named in the same way.
   *
   * Value: a list of names.
   * Default: none.
   */
  readonly excludeModules?: Settings["excludeModules"] | undefined;
  /**
   * Numbers, from 0, of the decoder layers that get adapters; none for all of them.
   *
   * Value: a list of names.
   * Default: none.
   */
  readonly layersToTransform?: Settings["layersToTransform"] | undefined;
  /**
   * Ranks that differ, as NAME=RANK: the end of a path, or a regular expression for it; the first that matches counts.
   *
   * Value: a list of NAME=RANK, or a mapping.
   * Default: none.
   */
  readonly rankPattern?: Settings["rankPattern"] | Readonly<Record<string, string | number>> | undefined;
  /**
   * Alphas that differ, as NAME=ALPHA.
   *
   * Value: a list of NAME=ALPHA, or a mapping.
   * Default: none.
   */
  readonly alphaPattern?: Settings["alphaPattern"] | Readonly<Record<string, string | number>> | undefined;
  /**
   * Biases that are trained beside the adapters: those of adapted layers, all of the model, or none.
   *
   * Value: one of none, lora_only, all.
   * Default: none.
   */
  readonly bias?: Settings["bias"] | undefined;
  /**
   * What is trained in full beside the adapters.
   *
   * Value: a list out of embeddings, norms, head.
   * Default: embeddings,norms,head.
   */
  readonly trainModules?: Settings["trainModules"] | undefined;
  /**
   * Format of the frozen weights under the adapters, bitsandbytes' own; none is float32, or what the model folder has.
   *
   * Value: one of none, nf4, fp4, int8.
   * Default: none.
   */
  readonly quantize?: Settings["quantize"] | undefined;
  /**
   * Quantize the scales of nf4 and fp4 too: 4.13 instead of 4.5 bits per weight.
   *
   * Value: true or false.
   * Default: false.
   */
  readonly doubleQuant?: Settings["doubleQuant"] | undefined;
  /**
   * Weights that share a scale in nf4 and fp4: a power of two.
   *
   * Value: an integer of at least 16 and at most 4096, in weights.
   * Default: 64.
   */
  readonly quantBlockSize?: Settings["quantBlockSize"] | undefined;
  /**
   * How quantized weights take up merges: round base + all updates (delta-log; residual also starts the next adapter
   * near what rounding changes), or the present weight + update, with the error carried (error-feedback), at random
   * (stochastic) or lost (requantize).
   *
   * Value: one of delta-log, residual, error-feedback, stochastic, requantize.
   * Default: delta-log.
   */
  readonly mergePolicy?: Settings["mergePolicy"] | undefined;
  /**
   * Full-rank steps before the adapters take over, counted in maxSteps.
   *
   * Value: an integer of at least 0, in steps.
   * Default: a quarter of the run.
   */
  readonly warmStartSteps?: Settings["warmStartSteps"] | undefined;
  /**
   * When adapters are merged and restarted: every reloraEvery steps (fixed), or when they are full (when-full), that
   * is when a step lowers the training loss by less than three quarters of the mean over this cycle and the one
   * before, after at least 32 steps for each direction that restarts, and once the run has learned a bit for each
   * weight of its adapters.
   *
   * Value: one of fixed, when-full.
   * Default: fixed; in a fine-tune without a period when-full.
   */
  readonly restart?: Settings["restart"] | undefined;
  /**
   * Merge period of relora: adapters are merged and restarted after so many steps.
   *
   * Value: an integer of at least 1, in steps.
   * Default: a quarter of the steps with adapters.
   */
  readonly reloraEvery?: Settings["reloraEvery"] | undefined;
  /**
   * Period of the learning-rate restarts and optimizer resets; a multiple of reloraEvery.
   *
   * Value: an integer of at least 1, in steps.
   * Default: reloraEvery.
   */
  readonly cycleLength?: Settings["cycleLength"] | undefined;
  /**
   * Warm-up of the learning rate after each restart, and when the adapters take over from the warm start.
   *
   * Value: an integer of at least 0, in steps.
   * Default: a tenth of cycleLength, at most 50.
   */
  readonly restartWarmupSteps?: Settings["restartWarmupSteps"] | undefined;
  /**
   * Share of each adapter's directions that a merge takes and restarts, the weakest; the others go on as they are.
   *
   * Value: a number above 0 and at most 1.
   * Default: 1.
   */
  readonly restartShare?: Settings["restartShare"] | undefined;
  /**
   * At a restart, the moments of what restarts are zeroed (reset), set to those of the gradients of the next batches
   * (primed), pruned by size or at random, or kept (none).
   *
   * Value: one of reset, primed, magnitude, random, none.
   * Default: reset.
   */
  readonly optimizerReset?: Settings["optimizerReset"] | undefined;
  /**
   * Batches whose gradients prime the moments after a restart, and those that give a core its bases.
   *
   * Value: an integer of at least 1, in batches.
   * Default: 8.
   */
  readonly restartBatches?: Settings["restartBatches"] | undefined;
  /**
   * Share of the moments that magnitude and random pruning set to zero.
   *
   * Value: a number of at least 0 and below 1.
   * Default: 0.9.
   */
  readonly pruneRatio?: Settings["pruneRatio"] | undefined;
  /**
   * Length of the run in passes over the data, from which maxSteps follows.
   *
   * Value: a number above 0, or null, in epochs.
   * Default: null: the run is as long as maxSteps and maxTrainTokens say.
   */
  readonly epochs?: Settings["epochs"] | undefined;
  /**
   * Optimizer steps of the whole run, warm start included. With maxTrainTokens, whichever ends first.
   *
   * Value: an integer of at least 1, in steps.
   * Default: 10000.
   */
  readonly maxSteps?: Settings["maxSteps"] | undefined;
  /**
   * Tokens to train on: those that steps compute, prompts too but no padding. maxSteps is the most steps that stay
   * within it, counted exactly before the start in the order of the rows; takes k, M and B as in 100M.
   *
   * Value: an integer of at least 1, or null, in tokens.
   * Default: null: no limit.
   */
  readonly maxTrainTokens?: Settings["maxTrainTokens"] | undefined;
  /**
   * Sequences of one forward and backward pass.
   *
   * Value: an integer of at least 1, in sequences.
   * Default: 8.
   */
  readonly batchSize?: Settings["batchSize"] | undefined;
  /**
   * Sequences of one optimizer step, a multiple of batchSize; gradients are accumulated.
   *
   * Value: an integer of at least 1, in sequences.
   * Default: batchSize.
   */
  readonly totalBatchSize?: Settings["totalBatchSize"] | undefined;
  /**
   * Length of a row; longer samples are cut.
   *
   * Value: an integer of at least 2, in tokens.
   * Default: 256.
   */
  readonly sequenceLength?: Settings["sequenceLength"] | undefined;
  /**
   * Peak learning rate.
   *
   * Value: a number above 0.
   * Default: 0.001.
   */
  readonly lr?: Settings["lr"] | undefined;
  /**
   * Peak learning rate of the adapters; often twice that of full-rank training.
   *
   * Value: a number above 0.
   * Default: lr.
   */
  readonly adapterLr?: Settings["adapterLr"] | undefined;
  /**
   * Learning rate of B as a multiple of adapterLr, which A keeps (LoRA+, Hayou et al. 2024); 16 is usual there.
   *
   * Value: a number above 0.
   * Default: 1.
   */
  readonly loraPlusRatio?: Settings["loraPlusRatio"] | undefined;
  /**
   * Learning rate over the steps, after the warm-up. Under the names of transformers and axolotl, cosine falls to 0
   * and constant has no warm-up, unless minLrRatio and warmupSteps are given; cosine_with_restarts is refused there.
   *
   * Value: one of constant, linear, cosine, cosine_restarts.
   * Default: cosine_restarts for fixed cycles of relora, else cosine.
   */
  readonly schedule?: Settings["schedule"] | undefined;
  /**
   * Warm-up of the learning rate at the start of the run. Below 1 a share of the run's steps, rounded up, as in
   * transformers; where there is a warm start, of its steps, or else with relora of the first cycle.
   *
   * Value: a number of at least 0, in steps.
   * Default: a tenth of the warm start or else of the first cycle, at most 100.
   */
  readonly warmupSteps?: Settings["warmupSteps"] | undefined;
  /**
   * Where the cosine schedules end, as a share of the peak.
   *
   * Value: a number of at least 0 and at most 1.
   * Default: 0.1.
   */
  readonly minLrRatio?: Settings["minLrRatio"] | undefined;
  /**
   * Decoupled weight decay of AdamW; norms, biases and magnitudes of DoRA are exempt.
   *
   * Value: a number of at least 0.
   * Default: 0.
   */
  readonly weightDecay?: Settings["weightDecay"] | undefined;
  /**
   * Decay of AdamW's first moment.
   *
   * Value: a number of at least 0 and below 1.
   * Default: 0.9.
   */
  readonly beta1?: Settings["beta1"] | undefined;
  /**
   * Decay of AdamW's second moment.
   *
   * Value: a number of at least 0 and below 1.
   * Default: 0.999.
   */
  readonly beta2?: Settings["beta2"] | undefined;
  /**
   * Term that keeps AdamW's denominator away from zero.
   *
   * Value: a number above 0.
   * Default: 1e-8.
   */
  readonly eps?: Settings["eps"] | undefined;
  /**
   * Largest global norm of the gradient; larger ones are scaled down to it.
   *
   * Value: a number above 0, or null.
   * Default: 1.
   */
  readonly clipGradNorm?: Settings["clipGradNorm"] | undefined;
  /**
   * Steps with a loss or gradient that is not finite are skipped; more than so many in a row stop the run.
   *
   * Value: an integer of at least 0, in steps.
   * Default: 10.
   */
  readonly maxBadSteps?: Settings["maxBadSteps"] | undefined;
  /**
   * The run stops when the held-out loss is above so many times its lowest (of at least 1 nat), evaluation after
   * evaluation, and the training loss above that lowest too.
   *
   * Value: a number above 1, or null.
   * Default: 1.5.
   */
  readonly divergenceFactor?: Settings["divergenceFactor"] | undefined;
  /**
   * So many such evaluations in a row stop the run.
   *
   * Value: an integer of at least 1, in evaluations.
   * Default: 3.
   */
  readonly divergenceEvals?: Settings["divergenceEvals"] | undefined;
  /**
   * Steps between evaluations.
   *
   * Value: an integer of at least 1, or null, in steps.
   * Default: 100.
   */
  readonly evalEvery?: Settings["evalEvery"] | undefined;
  /**
   * Evaluate also before the first step, where adapters take over from a warm start, and around merges and quantizing.
   *
   * Value: true or false.
   * Default: true; false where evalEvery is none.
   */
  readonly evalMilestones?: Settings["evalMilestones"] | undefined;
  /**
   * Held-out tokens of each evaluation, always the same ones.
   *
   * Value: an integer of at least 1, in tokens.
   * Default: 50000.
   */
  readonly evalTokens?: Settings["evalTokens"] | undefined;
  /**
   * So many evaluations in a row without improvement end the run; those of a warm start do not count.
   *
   * Value: an integer of at least 1, or null, in evaluations.
   * Default: null: train to the last step.
   */
  readonly patience?: Settings["patience"] | undefined;
  /**
   * What the held-out loss must fall by to be an improvement for patience; with 0, by anything.
   *
   * Value: a number of at least 0, in nats.
   * Default: 0.
   */
  readonly minImprovement?: Settings["minImprovement"] | undefined;
  /**
   * Save at each evaluation that is the best so far, and make the finished model and adapter of the best checkpoint
   * instead of the last.
   *
   * Value: true or false.
   * Default: false.
   */
  readonly loadBest?: Settings["loadBest"] | undefined;
  /**
   * Other logs to write: tensorboard, event files in RUN/tensorboard with the numbers and texts of metrics.jsonl.
   *
   * Value: a list out of tensorboard, or null.
   * Default: null: metrics.jsonl and the report alone.
   */
  readonly log?: Settings["log"] | undefined;
  /**
   * Length of the text generated at each evaluation; 0 for none.
   *
   * Value: an integer of at least 0, in tokens.
   * Default: 40.
   */
  readonly sampleTokens?: Settings["sampleTokens"] | undefined;
  /**
   * Text that the sample continues; empty for the start of a document.
   *
   * Value: text.
   * Default: empty.
   */
  readonly samplePrompt?: Settings["samplePrompt"] | undefined;
  /**
   * Steps between checkpoints.
   *
   * Value: an integer of at least 1, or null, in steps.
   * Default: 1000.
   */
  readonly saveEvery?: Settings["saveEvery"] | undefined;
  /**
   * Checkpoints to keep beside the best one; older ones are deleted.
   *
   * Value: an integer of at least 1, or null.
   * Default: 2.
   */
  readonly keepCheckpoints?: Settings["keepCheckpoints"] | undefined;
  /**
   * Execution provider of ONNX Runtime.
   *
   * Value: one of cpu, webgpu.
   * Default: cpu.
   */
  readonly device?: Settings["device"] | undefined;
  /**
   * Threads of the computation. With deterministic, results on the CPU have the same bits for every number up to 64.
   *
   * Value: an integer of at least 1 and at most 256, or null.
   * Default: null: as many as the machine has cores.
   */
  readonly threads?: Settings["threads"] | undefined;
  /**
   * Compute products in forms whose bits do not depend on the number of threads, some of them slower. Without it the
   * bits are the same from run to run with one number of threads.
   *
   * Value: true or false.
   * Default: false.
   */
  readonly deterministic?: Settings["deterministic"] | undefined;
  /**
   * Recompute activations in the backward pass: less memory, more time.
   *
   * Value: true or false.
   * Default: false.
   */
  readonly checkpointing?: Settings["checkpointing"] | undefined;
  /**
   * Tokens whose logits exist at once when the loss is computed.
   *
   * Value: an integer of at least 1, in tokens.
   * Default: 512.
   */
  readonly lossChunk?: Settings["lossChunk"] | undefined;
  /**
   * The processes that share the micro-batches of an update: this one alone, or all those of an MPI job. With auto,
   * mpi where a launcher such as mpirun or srun has started more than one.
   *
   * Value: one of auto, none, mpi.
   * Default: auto.
   */
  readonly distributed?: Settings["distributed"] | undefined;
  /**
   * Time after which a process of an MPI job that does not answer ends the job.
   *
   * Value: a number above 0, in seconds.
   * Default: 1800.
   */
  readonly mpiTimeout?: Settings["mpiTimeout"] | undefined;
  /**
   * Folder where the processes of an MPI job that do not see the run folder keep their base and the cycles, on a disk
   * of their own machine. They remove it at the end.
   *
   * Value: text, or null.
   * Default: null: the run folder, which all processes see.
   */
  readonly scratch?: Settings["scratch"] | undefined;
  /**
   * A recipe whose values stand in where neither the config file nor a flag gives one; quickstart where neither a
   * config file nor a model is named. Another model takes its rank, lengths and evaluations, but not how it quantizes,
   * and one that has learned takes neither its data nor its learning rates.
   *
   * Value: one of none, quickstart.
   * Default: none.
   */
  readonly preset?: Settings["preset"] | undefined;
  /**
   * Run folder.
   *
   * Value: text, or null.
   * Default: null: a new folder under runs/.
   */
  readonly out?: Settings["out"] | undefined;
  /**
   * Replace what an earlier run left in the run folder.
   *
   * Value: true or false.
   * Default: false.
   */
  readonly overwrite?: Settings["overwrite"] | undefined;
  /**
   * Print the plan, check the data, train nothing.
   *
   * Value: true or false.
   * Default: false.
   */
  readonly dryRun?: Settings["dryRun"] | undefined;
  /**
   * Start even when the estimated memory is more than there is.
   *
   * Value: true or false.
   * Default: false.
   */
  readonly force?: Settings["force"] | undefined;
  /**
   * Seed of all randomness: initial weights, order of the data, dropout, samples.
   *
   * Value: an integer of at least 0 and at most 4294967295.
   * Default: 0.
   */
  readonly seed?: Settings["seed"] | undefined;
}
