#!/usr/bin/env bash
# Judges the example: the honest candidate, and two that must be caught. Usage: demo.sh PATH-OF-MODELGATE
set -uo pipefail
cd "$(dirname "$0")" || exit
modelgate=$1
status=0

judge() { # NAME EXPECTED-EXIT-CODES ARGUMENTS...
  local name=$1 expected=$2
  shift 2
  printf '\n=== %s\n' "$name"
  "$modelgate" run --out ".modelgate/$name" "$@"
  local code=$?
  if [[ " $expected " != *" $code "* ]]; then
    printf 'unexpected exit code %s, not one of: %s\n' "$code" "$expected" >&2
    status=1
  fi
}

judge candidate "0" --suite check-in
judge release "0" --suite release
judge leaky "1" --suite check-in --candidate models/leaky.onnx
judge swapped "1" --suite check-in --candidate models/swapped.onnx
exit $status
