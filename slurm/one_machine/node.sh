#!/bin/bash
# Breaks and mends a node of the one-machine cluster. Run as root.
#   node.sh fail NODE    its power is cut, and slurmctld knows at once: its jobs are requeued in less than a second
#   node.sh start NODE   it comes back; returns when it takes jobs
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/processes.sh"

action=${1:-} node=${2:-}
case " $NODES " in
  *" $node "*) ;;
  *) action=help ;;
esac

up() {
  local state
  state=$(sinfo --noheader --partition=main --nodes="$node" --format=%t)
  case $state in
    idle | mix | alloc | comp) return 0 ;;
    down* | drain* | fail*) scontrol update nodename="$node" state=resume ;;
  esac
  return 1
}

case $action in
  fail)
    need_root "$@"
    # Told first: else the surviving half of a job on two nodes may fail before Slurm knows why.
    scontrol update nodename="$node" state=down reason="power cut by node.sh"
    cut_power_of "$node"
    ;;
  start)
    need_root "$@"
    if ! alive "$RUN/slurmd-$node.pid"; then
      cut_power_of "$node" # what a cut in a bad moment left
      slurmd -N "$node"
    fi
    wait_for 30 up || fail "$node does not come back: $(scontrol show node "$node" | grep -E 'State|Reason' | xargs)"
    ;;
  *)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
