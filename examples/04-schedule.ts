// The learning rate of ReLoRA as a text plot: one cosine over the run that falls to zero and rises again at each restart.
import { schedules } from "highrank";

const options = { totalSteps: 120, warmupSteps: 10, cycleLength: 30, restartWarmupSteps: 6, minLrRatio: 0.1 };
for (let step = 0; step < options.totalSteps; step += 3) {
  const multiplier = schedules.cosineRestarts(step, options);
  const restart = step > 0 && step % options.cycleLength === 0 ? " <- restart" : "";
  console.log(
    `${String(step).padStart(4)}  ${multiplier.toFixed(2)} ${"#".repeat(Math.round(60 * multiplier))}${restart}`,
  );
}
