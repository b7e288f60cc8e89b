# Sourced by up.sh, down.sh and node.sh: where things are, and how to end processes of ours and nobody else's.
RUN=/run/slurm/one_machine         # pid files, fake GPU devices
SPOOL=/var/spool/slurm/one_machine # state of slurmctld and slurmd, the accounting database
LOG=/var/log/slurm/one_machine
ETC=/etc/slurm                     # slurm.conf, gres.conf, slurmdbd.conf: clients look nowhere else
MARKER="# Written by slurm/one_machine/up.sh: a toy cluster, replaced at will."
NODES="n1 n2"
export PATH="$PATH:/usr/sbin:/sbin" LC_ALL=C

say() { echo "${0##*/}: $*" >&2; }

fail() {
  say "$*"
  exit 1
}

need_root() { [ "$(id -u)" = 0 ] || fail "root is needed here; run: sudo $0${*:+ $*}"; }

wait_for() { # SECONDS COMMAND...: 1 if the command does not succeed in time
  local tries=$(($1 * 20))
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.05
  done
}

# exe and not `kill -0`: a zombie that init has not reaped yet is dead.
alive() { [ -s "$1" ] && [ -e "/proc/$(cat "$1")/exe" ]; } # PIDFILE

gone() { ! alive "$1"; } # PIDFILE

stop() { # PIDFILE: SIGTERM, ten seconds, SIGKILL
  if alive "$1"; then
    # After a reboot the number may be another process's.
    case "$(cat "/proc/$(cat "$1")/comm")" in
      slurm* | mariadbd | munged)
        kill "$(cat "$1")"
        wait_for 10 gone "$1" || kill -KILL "$(cat "$1")"
        ;;
    esac
  fi
  rm -f "$1"
}

processes_of() { # NODE: pids of its slurmd, of its slurmstepds (they hold its log open) and of its jobs
  local process
  for process in /proc/[0-9]*; do
    if grep -qsxz "SLURMD_NODENAME=$1" "$process/environ"; then
      echo "${process#/proc/}"
    elif grep -qsE '^slurm(d|stepd)' "$process/comm" &&
      readlink "$process"/fd/* 2>/dev/null | grep -qx "$LOG/slurmd-$1.log"; then
      echo "${process#/proc/}"
    fi
  done
}

cut_power_of() { # NODE: everything of the node dies
  local signal pids
  # Stopped first: a slurmstepd that outlived its tasks by a moment would report that they had failed.
  for signal in STOP KILL; do
    pids=$(processes_of "$1")
    # A process may end by itself in between.
    [ -z "$pids" ] || kill -$signal $pids 2>/dev/null || true
  done
  rm -f "$RUN/slurmd-$1.pid"
}
