import { formatBytes, formatChange, formatLoss, formatNumber, formatShare, largest } from "../../base/numbers.js";
import type { QuantizeRecord } from "../metrics.js";
import { card, numbers } from "./html.js";
import { byKind, meanText } from "./layer-kinds.js";

/** The effect of quantizing the base on the loss and, by kind of layer, on the weights. */
export function quantizationCard(record: QuantizeRecord): string {
  const { step, quantizer, lossBefore, lossAfter, relativeError, bytes, layers } = record;
  const when = step === 0 ? "before the first step" : `after step ${step}`;
  const after = formatLoss(lossAfter);
  const loss =
    lossBefore === null
      ? `${after} after`
      : `${lossBefore.toFixed(4)} before and ${after} after (${formatChange(lossAfter - lossBefore)})`;
  const note =
    `To ${quantizer}, ${when}: ${formatBytes(bytes)}. Held-out loss ${loss}. ` +
    `The relative error ‖W − Ŵ‖ / ‖W‖ is ${formatShare(relativeError)} over all layers; for a kind of layer it is their ` +
    "mean. The largest error is that of a single weight.";
  const rows = [...byKind(layers)].map(([kind, ofKind]) => [
    kind,
    String(ofKind.length),
    meanText(
      ofKind.map((layer) => layer.relativeError),
      formatShare,
    ),
    formatNumber(largest(ofKind.map((layer) => layer.largestError))),
  ]);
  return card("Quantization", note, numbers(["Kind", "Layers", "Relative error", "Largest error"], rows));
}
