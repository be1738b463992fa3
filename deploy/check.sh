#!/bin/sh
# Checks these files with the programs that will read them, as far as they are installed; names those that are not.
# A running gateway's metrics are checked too where GATEWAY is set, like GATEWAY=http://127.0.0.1:8080.
cd "$(dirname "$0")" || exit 1
failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
check() {
  program=$1
  shift
  if ! command -v "$program" >/dev/null; then
    echo "not checked, $program is not installed: $*"
  elif "$program" "$@" >"$work/output" 2>&1; then
    echo "ok: $program $*"
  else
    echo "FAILED: $program $*"
    cat "$work/output"
    failed=1
  fi
}
export TEACHER=https://teacher.example/v1 DISTILL_TEACHER_KEY=x DISTILL_GATEWAY_TOKENS=x SIGNER=SHA256:x
# The unit is checked as it stands, but with a program that exists here.
sed "s|^ExecStart=[^ ]*|ExecStart=/bin/true|" distill-tui-serve@.service >"$work/distill-tui-serve@.service"
check systemd-analyze verify "$work/distill-tui-serve@.service"
if docker compose version >/dev/null 2>&1; then
  check docker compose --profile student --profile monitoring -f compose.yaml config --quiet
else
  check docker-compose --profile student --profile monitoring -f compose.yaml config --quiet
fi
check promtool check config --syntax-only prometheus.yaml
if [ -n "$GATEWAY" ] && command -v promtool >/dev/null; then
  curl -fsS "$GATEWAY/metrics" | promtool check metrics && echo "ok: promtool check metrics" || failed=1
fi
exit $failed
