import { Command, CommanderError } from "commander";
import { addChat } from "./chat.js";
import { addCompare } from "./compare.js";
import { addCompletion } from "./completion.js";
import { Context, type Surroundings } from "./context.js";
import { addData } from "./data.js";
import { addDoctor } from "./doctor.js";
import { addEval } from "./eval.js";
import { EXIT, type ExitCode } from "./exit-codes.js";
import { addExport } from "./export.js";
import { addGenerate } from "./generate.js";
import { addInspect } from "./inspect.js";
import { addMerge } from "./merge.js";
import { addMetrics } from "./metrics.js";
import { addPush } from "./push.js";
import { addQuantize } from "./quantize.js";
import { addResume } from "./resume.js";
import { addServe } from "./serve.js";
import { addTokenizer } from "./tokenizer.js";
import { addTrain } from "./train.js";
import { explainUsage, helpStyle, requireSingleValues } from "./usage.js";
import { packageVersion } from "./version.js";
import { addWatch } from "./watch.js";

const VERBS = [
  addTrain,
  addResume,
  addWatch,
  addCompare,
  addEval,
  addGenerate,
  addChat,
  addServe,
  addQuantize,
  addMerge,
  addExport,
  addPush,
  addTokenizer,
  addData,
  addInspect,
  addMetrics,
  addDoctor,
  addCompletion,
];

/** Verbs that several processes do together, or each by itself. */
const AMONG_RANKS: readonly string[] = ["train", "resume", "eval", "doctor"];

const FIRST_COMMANDS = `
highrank doctor                          checks that everything is there
highrank train                           trains a small example model
highrank train --model NAME --data FILE  fine-tunes a model (hub or folder)
highrank generate runs/001-...           writes with what was trained
highrank VERB --help                     tells more`;

/** Runs the command line and returns its exit code. Every error ends here, as one message. */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const end = args.indexOf("--");
  const json = args.slice(0, end === -1 ? undefined : end).includes("--json");
  const context = new Context(surroundings, { json });
  const program = new Command(context.name)
    .description("Train language models with LoRA and ReLoRA on ONNX Runtime.")
    .version(await packageVersion(), "-v, --version", "print the version")
    .addHelpText("after", FIRST_COMMANDS.replaceAll("highrank", context.name))
    .showSuggestionAfterError(false)
    .configureHelp(helpStyle(args.includes("--all")))
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      outputError: () => {},
    });
  program.exitOverride((error) => explainUsage(program, error));
  for (const add of VERBS) add(program, context);
  program.hook("preAction", (_, command) => {
    const verb = verbOf(command);
    if (!AMONG_RANKS.includes(verb)) context.requireAlone(verb);
  });
  requireSingleValues(program);
  try {
    await program.parseAsync(args, { from: "user" });
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    context.fail(error, args);
    return context.exitCode;
  }
}

function verbOf(command: Command): string {
  const { parent } = command;
  return parent === null || parent.parent === null ? command.name() : verbOf(parent);
}
