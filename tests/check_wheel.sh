#!/bin/sh
# Build the wheel and use it from another folder, with the dependencies of the given interpreter but without the
# checkout: sh tests/check_wheel.sh .venv/bin/python
set -eu
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m build --wheel --outdir "$folder" . >"$folder/build.log" 2>&1 || { cat "$folder/build.log"; exit 1; }
"$python" -m pip install --quiet --no-deps --target "$folder/site" "$folder"/*.whl
cd "$folder"
# -P keeps the current folder out, PYTHONPATH puts the wheel before the editable install.
export PYTHONPATH="$folder/site"
"$python" - <<'PY'
import os, hf_strategies, hf_strategies.auto
import hf_strategies.recipes.text_classification as recipe
site = os.environ["PYTHONPATH"]
assert hf_strategies.__file__.startswith(site), hf_strategies.__file__
assert recipe.__file__.startswith(site), recipe.__file__
assert os.path.isfile(os.path.join(os.path.dirname(recipe.__file__), "configs", "demo.yaml"))
assert os.path.isfile(os.path.join(os.path.dirname(hf_strategies.__file__), "py.typed"))
assert os.path.isfile(os.path.join(os.path.dirname(hf_strategies.__file__), "report", "run", "page.js"))
PY
printf 'text,label\n' >train.csv
for i in 1 2 3 4 5 6 7 8; do printf 'good number %s,yes\nbad number %s,no\n' "$i" "$i" >>train.csv; done
"$(dirname "$python")/accelerate" launch --num_processes 1 --num_machines 1 --mixed_precision no \
	--dynamo_backend no -m hf_strategies.recipes.text_classification --train_file train.csv \
	--validation_file train.csv --max_steps 2 --use_cpu --output_dir out --disable_tqdm true >run.log 2>&1 ||
	{ cat run.log; exit 1; }
test -f out/all_results.json
# A script that knows nothing of the package, in a run.
cat >script.py <<'PY'
from transformers import HfArgumentParser, TrainingArguments
print(HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()[0].lr_scheduler_type.value)
PY
test "$("$python" -m hf_strategies run script.py --lr_scheduler_type wsd)" = wsd
echo "wheel: ok ($(basename "$folder"/*.whl))"
