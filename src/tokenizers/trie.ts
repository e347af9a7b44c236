/** A node of a tree of sequences, with the value of the sequence that ends here. */
export interface TrieNode<K, V> {
  readonly children: Map<K, TrieNode<K, V>>;
  value: V | undefined;
}

/** A tree of sequences; the last value of a sequence counts, and the empty one has none. */
export function trieOf<K, V>(entries: Iterable<readonly [sequence: Iterable<K>, value: V]>): TrieNode<K, V> {
  const root: TrieNode<K, V> = { children: new Map(), value: undefined };
  for (const [sequence, value] of entries) {
    let node = root;
    for (const key of sequence) {
      let child = node.children.get(key);
      if (child === undefined) {
        child = { children: new Map(), value: undefined };
        node.children.set(key, child);
      }
      node = child;
    }
    if (node !== root) node.value = value;
  }
  return root;
}
