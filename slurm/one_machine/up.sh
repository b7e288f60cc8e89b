#!/bin/bash
# Brings up a real Slurm on this machine: accounting, two nodes n1 and n2 that claim 16 CPUs and 8 fake GPUs
# each, partitions main, low (preemptible) and high (preempts low). For trying and for the tests. Run as root;
# run again it does nothing, or mends what is broken. down.sh undoes it.
#
# Tried on Debian 12 with Slurm 22.05 and without systemd; the packages have the same names on Ubuntu. Writes
#   /etc/slurm/{slurm,gres,slurmdbd}.conf   configuration (it refuses to replace anybody else's)
#   /run/slurm/one_machine                  pid files, fake GPU devices
#   /var/spool/slurm/one_machine            state and the accounting database, emptied at each start
#   /var/log/slurm/one_machine              logs
#   /etc/hosts                              the names n1 and n2
# The daemons listen on the loopback addresses that they are given and trust this machine's munge key.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
. "$here/processes.sh"

need_root
for file in $ETC/slurm.conf $ETC/gres.conf $ETC/slurmdbd.conf /run/slurm/conf/slurm.conf; do
  if [ -e "$file" ] && ! grep -qxF "$MARKER" "$file"; then
    fail "this machine has a Slurm of its own ($file); use that, or a machine without"
  fi
done

# ---- Already up?
nodes_up() {
  local node
  for node in $NODES; do alive "$RUN/slurmd-$node.pid" || return 1; done
  [ "$(sinfo --noheader --Node --partition=main --format=%t | grep -cxE 'idle|mix|alloc|comp')" = 2 ]
}
if alive $RUN/slurmctld.pid && alive $RUN/slurmdbd.pid && nodes_up; then
  say "already up"
  exit 0
fi

# ---- Packages
packages=(slurmctld slurmd slurmdbd slurm-client munge mariadb-server-core mariadb-client-core)
installed=$(dpkg-query --show --showformat='${db:Status-Status}\n' "${packages[@]}" 2>/dev/null | grep -cx installed || true)
if [ "$installed" != ${#packages[@]} ]; then
  say "installing ${packages[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq </dev/null >/dev/null
  apt-get install -qq --no-install-recommends "${packages[@]}" </dev/null >/dev/null
fi
"$here/down.sh" 2>/dev/null

# ---- Files
rm -rf $LOG
mkdir -p $ETC $RUN/gpu $SPOOL/slurmctld $LOG
for node in $NODES; do echo "127.0.0.1 $node $MARKER" >>/etc/hosts; done

# A GPU without a device file counts as none, and so does a file that is named twice: null devices of our own.
for i in 0 1 2 3 4 5 6 7; do mknod -m 666 $RUN/gpu/gpu$i c 1 3; done
cat >$ETC/gres.conf <<END
$MARKER
NodeName=n[1-2] Name=gpu File=$RUN/gpu/gpu[0-7]
END

cat >$ETC/slurm.conf <<END
$MARKER
ClusterName=one_machine
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=6817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=$SPOOL/slurmctld
SlurmdSpoolDir=$SPOOL/%n
SlurmctldPidFile=$RUN/slurmctld.pid
SlurmdPidFile=$RUN/slurmd-%n.pid
SlurmctldLogFile=$LOG/slurmctld.log
SlurmdLogFile=$LOG/slurmd-%n.log
MailProg=/bin/true

# Neither systemd nor control groups: processes are found by their parents, memory by looking every second.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,NoShared
SwitchType=switch/none
MpiDefault=none

# Nodes claim more than the machine has.
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=n[1-2] NodeHostname=n[1-2] NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=16 RealMemory=64000 Gres=gpu:8
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=2000

# Jobs start at once (by default a batch waits 3 s, the main loop 60 s, backfill 30 s).
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
# Numbers are not used again after a fresh start: a folder that is named after an old job is never a new job's.
FirstJobId=$(($(date +%s) % 60000000 + 1))

# A time limit is a time limit. They are looked at every 30 s or so: a job of one minute got its signal after 23 s.
OverTimeLimit=0
JobRequeue=1
# What is left of a requeued job must be gone (KillWait + 2 s) before it starts again (cred_expire, by default
# 120 s, at least 5): else "Duplicate jobid", a drained node and a held job.
AuthInfo=cred_expire=6
KillWait=2
# squeue and scontrol go on showing a job that has ended.
MinJobAge=600

# A node that is silent for 10 s is down (noticed in 25 to 30 s); it comes back by itself when it was not set down.
SlurmdTimeout=10
ReturnToService=1

# A job in high preempts one in low: it is requeued after the signal that it asked for (sbatch --signal; SIGUSR2
# with submitit) and GraceTime seconds.
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=5 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=9 PreemptMode=OFF

# Without accounting nobody learns how a job ended that left no result; with associations and qos a wrong account or QOS is
# refused, as on any cluster that is paid for.
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=6819
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,qos
END

# The password-less database listens on a socket that only root can reach.
cat >$ETC/slurmdbd.conf <<END
$MARKER
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=6819
SlurmUser=root
PidFile=$RUN/slurmdbd.pid
LogFile=$LOG/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_accounting
END
chmod 600 $ETC/slurmdbd.conf # slurmdbd insists

# ---- Daemons
if ! munge --no-input >/dev/null 2>&1; then
  install -d -o munge -g munge -m 755 /run/munge
  if [ ! -s /etc/munge/munge.key ]; then
    mungekey --create --force
    chown munge: /etc/munge/munge.key
  fi
  rm -f /run/munge/munge.socket.2*
  setpriv --reuid=munge --regid=munge --clear-groups munged --force
  touch $RUN/munged_is_ours
  wait_for 10 munge --no-input || fail "munged does not answer; see /var/log/munge/munged.log"
fi

database=$SPOOL/database
mkdir -m 700 $database
options=(--no-defaults --user=root --datadir=$database --innodb-log-file-size=8M --innodb-buffer-pool-size=32M)
mariadb-install-db "${options[@]}" --auth-root-authentication-method=normal --skip-test-db >$LOG/install_db.log 2>&1 ||
  fail "no accounting database; see $LOG/install_db.log"
setsid mariadbd "${options[@]}" --socket=$database/socket --pid-file=$RUN/mariadbd.pid --skip-networking \
  --skip-log-bin --innodb-flush-log-at-trx-commit=0 --innodb-lock-wait-timeout=900 >$LOG/mariadbd.log 2>&1 </dev/null &
wait_for 20 mariadb --socket=$database/socket --user=root --execute='select 1' ||
  fail "mariadbd does not answer; see $LOG/mariadbd.log"

MYSQL_UNIX_PORT=$database/socket slurmdbd
wait_for 20 sacctmgr --noheader show cluster || fail "slurmdbd does not answer; see $LOG/slurmdbd.log"
# Before slurmctld, which reads the associations as it starts. SUDO_USER: whoever called sudo.
{
  sacctmgr --immediate add cluster one_machine
  sacctmgr --immediate add account users description=everybody organization=here
  for user in root ${SUDO_USER:-}; do sacctmgr --immediate add user "$user" account=users defaultaccount=users || true; done
} >$LOG/sacctmgr.log 2>&1 || fail "no accounts; see $LOG/sacctmgr.log"

slurmctld
wait_for 20 scontrol ping || fail "slurmctld does not answer; see $LOG/slurmctld.log"
for node in $NODES; do slurmd -N "$node"; done
wait_for 30 nodes_up || fail "the nodes do not come up ($(sinfo --noheader --format='%N %t %E' | xargs)); see $LOG"
say "two nodes are up; try: srun --nodes=2 hostname"
