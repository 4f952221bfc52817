"""Files for ``--config`` that are no files of flags, by what is wrong with them."""

from collections.abc import Mapping

_LAUGHS = "a: &a [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + "".join(
    f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(10))}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

YAML: Mapping[str, str | bytes] = {
    "aliases that explode": _LAUGHS,
    "aliases that explode in merges": "a: &a {x: 1}\n"
    + "".join(
        f"{name}: &{name} {{p: *{before}, q: *{before}}}\n"
        for before, name in zip("a" + "bcdefghijklmno", "bcdefghijklmnop", strict=True)
    ),
    "an alias in what it names": "lr_scheduler_kwargs: &k {a: *k}",
    "an alias of nothing": "seed: *nothing",
    "an anchor twice": "seed: &a 1\nrun_name: &a x",
    "brackets without end": "[" * 90_000,
    "braces without end": "{a: " * 22_000,
    "brackets with an end": "seed: " + "[" * 40_000 + "]" * 40_000,
    "dashes": "- " * 45_000,
    "question marks": "? " * 45_000,
    "deep blocks": "".join(" " * level + "a:\n" for level in range(400)),
    "ampersands": "&" * 90_000,
    "a tag of Python": "seed: !!python/object/apply:os.getpid []",
    "a name of Python": "seed: !!python/name:os.getpid",
    "a tuple of Python": "label_names: !!python/tuple [a, b]",
    "a tag of its own": "seed: !mine 3",
    "bytes": "run_name: !!binary aGVsbG8=",
    "a set": "label_names: !!set {a, b}",
    "a time stamp": "run_name: !!timestamp 2020-01-01",
    "ordered pairs": "lr_scheduler_kwargs: !!omap [a: 1]",
    "no integer": "seed: !!int many",
    "an empty integer": "seed: !!int ''",
    "no float": "learning_rate: !!float fast",
    "no switch": "figure: !!bool perhaps",
    "an integer of 5,000 digits": f"seed: {'7' * 5000}",
    "an integer of 90,000 digits": f"seed: {'7' * 90_000}",
    "an integer of 40 digits": f"seed: {'7' * 40}",
    "a float without end": "learning_rate: 1e99999",
    "infinity": "learning_rate: .inf",
    "a negative number": "seed: -4",
    "a key twice": "seed: 1\nseed: 2",
    "a key twice within": "lr_scheduler_kwargs: {gamma: 0.5, gamma: 0.1}",
    "a merge twice": "<<: {seed: 1}\n<<: {seed: 2}",
    "a merge of a number": "lr_scheduler_kwargs: {<<: 5}",
    "a list as a key": "? [seed]\n: 1",
    "a mapping as a key": "? {seed: 1}\n: 1",
    "a number as a key": "5: 1",
    "null as a key": "~: 1",
    "a mistyped key": "lerning_rate: 1",
    "a key that clears the screen": '"se\\e[2Jed": 1',
    "a key that turns the text around": '"se\\u202eed": 1',
    "a long key": f"? {'k' * 5000}\n: 1",
    "two documents": "seed: 1\n---\nseed: 2",
    "a version from the future": "%YAML 9.9\n---\nseed: 1",
    "a list": "- seed\n- 1",
    "a text": "seed",
    "a number": "5",
    "a tab before a key": "seed: 1\n\tdata_seed: 2",
    "a tab before a value": "seed:\t1",
    "a null byte": b"seed: \x00",
    "a null byte in a text": 'run_name: "a\\0b"',
    "half a character": 'run_name: "\\ud800"',
    "an empty text": "run_name: ''",
    "Latin-1": "run_name: café".encode("latin-1"),
    "UTF-16": "seed: 1".encode("utf-16"),
    "an image": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94.",
    "a quote without end": "run_name: '" + "x" * 80_000,
    "colons": ":" * 90_000,
    "a megabyte": "# " + "x" * 1_000_000,
    "20,000 keys": "".join(f"k{index}: 1\n" for index in range(8_000)),
    "a list for one value": "seed: [1, 2]",
    "a mapping for a number": "seed: {a: 1}",
    "a word for a number": "learning_rate: fast",
    "a bad number": "label_smoothing_factor: 5",
    "no JSON": "lr_scheduler_kwargs: '{'",
    "JSON that is deep": "lr_scheduler_kwargs: '" + '{"a":' * 15_000 + "'",
}
"""The content of each file."""
