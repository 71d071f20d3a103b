import assert from "node:assert/strict";
import { test } from "node:test";

import { PersistentMap } from "../../rasa_handoff/server/web/static/persistent-map.js";

const keys = Array.from({ length: 1000 }, (_, index) => `key ${index}`);

test("a PersistentMap holds what a Map holds, and each version stays as it was", () => {
  let map = new PersistentMap();
  const versions = keys.map((key, index) => (map = map.with(key, index)));
  for (const [index, version] of versions.entries()) {
    assert.equal(version.size, index + 1);
    assert.equal(version.get(keys[index]), index);
    assert.equal(version.has(keys[index + 1] ?? "none"), false);
  }
  const entries = [...map.entries()].sort(([, one], [, other]) => one - other);
  assert.deepEqual(entries, keys.map((key, index) => [key, index]));
  const less = map.without("key 7");
  assert.deepEqual([less.size, less.get("key 7"), map.get("key 7")], [999, undefined, 7]);
});

test("a change that changes nothing gives the same map", () => {
  const map = PersistentMap.from([["a", 1], ["b", 2], ["a", 3]]);
  assert.deepEqual([map.size, map.get("a")], [2, 3]);
  assert.equal(map.with("a", 3), map);
  assert.equal(map.without("c"), map);
});

test("names that JavaScript's own objects have are like any other", () => {
  let map = new PersistentMap();
  for (const name of ["constructor", "__proto__", "toString"]) {
    assert.equal(map.get(name), undefined);
    map = map.with(name, name);
    assert.equal(map.get(name), name);
  }
});
