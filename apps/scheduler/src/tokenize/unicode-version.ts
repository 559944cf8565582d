/**
 * Characters that JavaScript's Unicode tables know and those of the `tokenizers` library (0.23, which vLLM uses) do not.
 * There they are neither letters nor numbers, nor moved or composed by NFC. Written as ranges of a regular expression's
 * class. A test compares both with the library's tables; a Node with newer tables will need more entries.
 */

/** Letters of Unicode 17: the library's regular expressions are at 16. */
export const unknownLetters =
  '\\u088f\\u0c5c\\u0cdc\\ua7ce\\ua7cf\\ua7d2\\ua7d4\\ua7f1\\u{10940}-\\u{10959}\\u{10ec5}-\\u{10ec7}' +
  '\\u{11db0}-\\u{11ddb}\\u{16ea0}-\\u{16eb8}\\u{16ebb}-\\u{16ed3}\\u{16ff2}\\u{16ff3}\\u{187f8}-\\u{187ff}' +
  '\\u{18d09}-\\u{18d1e}\\u{18d80}-\\u{18df2}\\u{1e6c0}-\\u{1e6de}\\u{1e6e0}-\\u{1e6e2}\\u{1e6e4}\\u{1e6e5}' +
  '\\u{1e6e7}-\\u{1e6ed}\\u{1e6f0}-\\u{1e6f4}\\u{1e6fe}\\u{1e6ff}\\u{2b73a}-\\u{2b73f}\\u{2cea2}-\\u{2cead}' +
  '\\u{323b0}-\\u{33479}';

/** Numbers of Unicode 17. */
export const unknownNumbers = '\\u{11de0}-\\u{11de9}\\u{16ff4}-\\u{16ff6}';

/** Marks and composing characters newer than the library's NFC (it knows Unicode 9). */
export const unknownToNfc =
  '\\u07fd\\u0897-\\u089f\\u08ca-\\u08d3\\u09fe\\u0c3c\\u0d3b\\u0d3c\\u0eba\\u1715\\u1abf-\\u1add\\u1ae0-\\u1aeb' +
  '\\u1df6-\\u1dfa\\ua82c\\u{105c9}\\u{105d2}\\u{105da}\\u{105e4}\\u{10d24}-\\u{10d27}\\u{10d69}-\\u{10d6d}' +
  '\\u{10eab}\\u{10eac}\\u{10efa}\\u{10efb}\\u{10efd}-\\u{10eff}\\u{10f46}-\\u{10f50}\\u{10f82}-\\u{10f85}' +
  '\\u{11070}\\u{1133b}\\u{11382}-\\u{11385}\\u{1138b}\\u{1138e}\\u{11390}\\u{11391}\\u{113c2}\\u{113c5}' +
  '\\u{113c7}\\u{113c8}\\u{113ce}-\\u{113d0}\\u{1145e}\\u{11839}\\u{1183a}\\u{11935}\\u{11938}\\u{1193d}' +
  '\\u{1193e}\\u{11943}\\u{119e0}\\u{11a34}\\u{11a47}\\u{11a99}\\u{11d42}\\u{11d44}\\u{11d45}\\u{11d97}' +
  '\\u{11f41}\\u{11f42}\\u{1611e}\\u{16121}-\\u{16129}\\u{1612f}\\u{16d63}\\u{16d67}-\\u{16d6a}\\u{16ff0}' +
  '\\u{16ff1}\\u{1e08f}\\u{1e130}-\\u{1e136}\\u{1e2ae}\\u{1e2ec}-\\u{1e2ef}\\u{1e4ec}-\\u{1e4ef}\\u{1e5ee}' +
  '\\u{1e5ef}\\u{1e6e3}\\u{1e6e6}\\u{1e6ee}\\u{1e6ef}\\u{1e6f5}';
