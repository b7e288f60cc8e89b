#!/bin/bash
# Takes down what up.sh brought up: jobs, daemons, configuration and state. Run as root; may be run twice.
# Packages and the logs (/var/log/slurm/one_machine) stay.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/processes.sh"

need_root
if [ -e $ETC/slurm.conf ] && ! grep -qsxF "$MARKER" $ETC/slurm.conf; then
  fail "the Slurm of $ETC/slurm.conf is not ours, it stays as it is"
fi

no_jobs() { [ -z "$(squeue --noheader)" ]; }
if alive $RUN/slurmctld.pid; then
  for state in PENDING RUNNING SUSPENDED; do timeout 10 scancel --state=$state || true; done
  wait_for 8 no_jobs || say "some jobs did not end when cancelled, they are killed"
fi
for node in $NODES; do cut_power_of "$node"; done
stop $RUN/slurmctld.pid
stop $RUN/slurmdbd.pid
stop $RUN/mariadbd.pid
[ ! -e $RUN/munged_is_ours ] || stop /run/munge/munged.pid

for file in slurm.conf gres.conf slurmdbd.conf; do
  if grep -qsxF "$MARKER" "$ETC/$file"; then rm "$ETC/$file"; fi
done
rm -rf $RUN $SPOOL
# Written in place: in a container /etc/hosts is a mount and cannot be renamed over.
hosts=$(grep -vF "$MARKER" /etc/hosts || true)
echo "$hosts" >/etc/hosts
say "the cluster is down"
