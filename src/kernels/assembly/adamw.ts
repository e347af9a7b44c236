/**
 * One AdamW step over float32 numbers at four addresses, four at a time.
 *
 * All is in float32, where β2 = 0.999 would be 0.99900001, and 1 - lr · decay often 1. So the small shares 1 - β and
 * lr · decay are what is multiplied, and the rest is what a subtraction leaves.
 *
 * @param end of the parameter; the others are as long.
 * @param scale of the gradient
 * @param fresh1 1 - β1, the share of the gradient in the first moment; `fresh2` is that of its square in the second.
 * @param root (1 - β1^step) / √(1 - β2^step)
 * @param eps that of AdamW times 1 - β1^step
 * @param decay lr · weight decay
 */
export function adamw(
  parameter: usize,
  end: usize,
  gradient: usize,
  expAvg: usize,
  expAvgSq: usize,
  scale: f32,
  fresh1: f32,
  fresh2: f32,
  root: f32,
  eps: f32,
  lr: f32,
  decay: f32,
): void {
  do {
    const p = v128.load(parameter);
    const g = f32x4.mul(v128.load(gradient), f32x4.splat(scale));
    const fresh = f32x4.mul(f32x4.splat(fresh2), g);
    const m = moment(v128.load(expAvg), fresh1, f32x4.mul(f32x4.splat(fresh1), g));
    const v = moment(v128.load(expAvgSq), fresh2, f32x4.mul(fresh, g));
    const shift = f32x4.add(f32x4.mul(f32x4.sqrt(v), f32x4.splat(root)), f32x4.splat(eps));
    const move = f32x4.mul(f32x4.div(m, shift), f32x4.splat(lr));
    v128.store(parameter, f32x4.sub(p, f32x4.add(f32x4.mul(p, f32x4.splat(decay)), move)));
    v128.store(expAvg, m);
    v128.store(expAvgSq, v);
    parameter += 16;
    gradient += 16;
    expAvg += 16;
    expAvgSq += 16;
  } while (parameter < end);
}

/**
 * old · (1 - fresh) + addend, or zero where that is below 2^-116. Moments without gradients would otherwise become
 * denormal numbers and stay so, and processors compute with those up to a hundred times as slowly.
 */
function moment(old: v128, fresh: f32, addend: v128): v128 {
  // Where squares have overflowed, ∞ - ∞ · fresh would be NaN; ∞ stops the parameter alone.
  const finite = f32x4.pmin(old, f32x4.splat(f32.MAX_VALUE));
  const sum = f32x4.add(f32x4.sub(old, f32x4.mul(finite, f32x4.splat(fresh))), addend);
  return v128.andnot(sum, f32x4.lt(f32x4.abs(sum), f32x4.splat(1.2037062e-35)));
}
