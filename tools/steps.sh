# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Progress and errors of the scripts in tools/: sourced, not run. Every step says what it does and how long it
# took; what a step's commands print goes to a log, of which the telling lines and the end are shown when the step fails.

if [[ -t 1 ]]; then
  FF_BOLD=$'\e[1m' FF_RED=$'\e[31m' FF_RESET=$'\e[0m'
else
  FF_BOLD='' FF_RED='' FF_RESET=''
fi

say() { printf '%s\n' "$*"; }

# fail "what went wrong" "what to do" ...
fail() {
  printf '\n%serror: %s%s\n' "$FF_RED" "$1" "$FF_RESET" >&2
  shift
  (($# == 0)) || printf '       %s\n' "$@" >&2
  exit 1
}

# elapsed SECONDS: "4 s", "2 min 05 s"
elapsed() {
  if (($1 < 60)); then printf '%d s' "$1"; else printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); fi
}

# run_step "what" LOG COMMAND...: runs COMMAND with its output in LOG; a dot line every 30 s shows that it lives.
# On failure prints the end of LOG and returns COMMAND's status.
run_step() {
  local what=$1 log=$2 start=$SECONDS status=0 pid ticker
  shift 2
  mkdir -p "$(dirname "$log")"
  printf '%s-- %s%s\n' "$FF_BOLD" "$what" "$FF_RESET"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  (while sleep 30; do printf '   still at it after %s\n' "$(elapsed $((SECONDS - start)))"; done) &
  ticker=$!
  # A stop by the user reaches the command too.
  trap 'kill "$pid" "$ticker" 2>/dev/null; exit 130' INT TERM
  wait "$pid" || status=$?
  trap - INT TERM
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  if ((status == 0)); then
    printf '   done in %s\n' "$(elapsed $((SECONDS - start)))"
  else
    printf '   failed after %s; from %s:\n' "$(elapsed $((SECONDS - start)))" "$log" >&2
    grep -nE 'error:|FAILED|\*\*\*|Error [0-9]|ERROR|AddressSanitizer|runtime error' "$log" | cut -c1-240 | head -n 40 | sed 's/^/   | /' >&2
    printf '   | ...\n' >&2
    tail -n "${FF_TAIL_LINES:-40}" "$log" | sed 's/^/   | /' >&2
  fi
  return "$status"
}
