/**
 * x + y of the float32 numbers from `x` to before `end` and as many from `y`, in place of x.
 * @param end a multiple of 32 bytes after `x`
 */
export function add(x: usize, end: usize, y: usize): void {
  do {
    v128.store(x, f32x4.add(v128.load(x), v128.load(y)));
    v128.store(x, f32x4.add(v128.load(x, 16), v128.load(y, 16)), 16);
    x += 32;
    y += 32;
  } while (x < end);
}
