/**
 * The shell programs around a task's own. The first one is what every container with a shell starts with: the same text for
 * every task, so nothing of a task shows in the container's configuration. All else comes through stdin.
 *
 *   nonce and name on a line → tar (files, stdin, the second program, marker member) → begin → compile → run → end → hold
 *
 *   BS1. Nothing runs unless the archive's last member, which carries the nonce, has arrived: a cut archive looks whole to tar.
 *   BS2. The program runs in the foreground of a shell: a shell ignores SIGINT and SIGQUIT for what it runs in the background.
 *   BS3. The shell's own messages go to an unlinked file, never to the program's stderr. The message that it writes when a
 *        signal ended the program is what tells `exit 137` from SIGKILL. No shell writes one for SIGINT and SIGPIPE, and bash
 *        none at all when its text came with `-c`: hence the second program, from a file.
 *   BS4. The watcher needs no new process to kill: `kill`, `read` and globbing are built in. If it cannot even sleep because
 *        the program used up all processes, it kills at once, on its way out.
 *   BS5. After the program ended every other process is killed (`kill -1` spares the caller and init), and only when they
 *        are gone is `end` written, to both streams: nothing of the program comes after it.
 *   BS6. SIGTERM to all, which is how a cancel arrives, neither ends the shell nor its watcher.
 *   BS7. It kills by `kill -1`, so it runs only where that is contained: as the child of process 1, on a read-only root.
 *   BS8. The nonce is in no argument, no environment and no file while the program runs.
 *
 * In the texts below `@{` stands for `${`, which a template literal would take for itself. Variables begin with `berth_`,
 * because an image may export variables of any name and ours must not be exported with them. Times are hundredths of a
 * second since boot. Runs in dash, busybox and bash.
 */

/** First: takes the archive and goes over to the second one. */
export const BOOTSTRAP = String.raw`unset berth_n berth_f
IFS=' ' read -r berth_n berth_f || exit 125
cd /box && tar -xf - >/dev/null 2>&1
berth_x=$?
if [ ! -f "/box/.ok-$berth_n" ]; then
  printf '\036%s incomplete %s\n' "$berth_n" "$berth_x" >&2
  exit 125
fi
rm -f "/box/.ok-$berth_n"
exec sh "/box/$berth_f"
`

const SUPERVISOR_TEXT = String.raw`[ "$PPID" = 1 ] && [ ! -w / ] && [ ! -w /proc/sys ] || exit 125
rm -f "$0"
exec 6>&1 7>&2
berth_stop=
trap 'berth_stop=1' TERM
trap : HUP INT USR1 USR2 ALRM
exec 5<"$berth_stdin"
[ "$berth_stdin" = /dev/null ] || rm -f "$berth_stdin"
echo '----------------------------------------------------------------' >/tmp/.berth
exec 2>>/tmp/.berth 4</tmp/.berth
rm -f /tmp/.berth
read -r berth_x <&4
berth_now() {
  read -r berth_t berth_x </proc/uptime
  berth_x=1@{berth_t#*.}
  berth_t=$((@{berth_t%.*} * 100 + berth_x - 100))
}
berth_nap() {
  berth_now
  berth_e=$((berth_t + $1))
  while [ "$berth_t" -lt "$berth_e" ]; do
    berth_r=$((berth_e - berth_t))
    sleep "$((berth_r / 100)).$((berth_r % 100 / 10))$((berth_r % 10))"
    berth_now
  done
}
berth_kill() {
  for berth_p in /proc/[0-9]*; do
    berth_p=@{berth_p#/proc/}
    case $berth_p in
      1 | "$$" | "$berth_w") ;;
      *) kill -"$1" "$berth_p" ;;
    esac
  done
}
berth_first() {
  berth_v=-
  for berth_f; do
    [ -r "$berth_f" ] && read -r berth_v berth_x <"$berth_f" && return
  done
}
berth_key() {
  berth_v=- berth_k=$1
  shift
  for berth_f; do
    [ -r "$berth_f" ] && while read -r berth_x berth_y; do
      [ "$berth_x" = "$berth_k" ] && { berth_v=$berth_y; return; }
    done <"$berth_f"
  done
}
berth_cpu() {
  berth_key usage_usec /sys/fs/cgroup/cpu.stat
  [ "$berth_v" = - ] || return
  berth_first /sys/fs/cgroup/cpuacct/cpuacct.usage /sys/fs/cgroup/cpu,cpuacct/cpuacct.usage
  [ "$berth_v" = - ] || berth_v=$((berth_v / 1000))
}
berth_cpu
berth_c=$berth_v
berth_now
berth_b=$berth_t
printf '\036%s begin\n' "$berth_n" >&6
printf '\036%s begin\n' "$berth_n" >&7
(
  read -r berth_w berth_x </proc/self/stat
  exec 2>/dev/null 4<&- 5<&- 6>&- 7>&-
  trap : TERM HUP INT USR1 USR2 ALRM
  trap 'berth_kill KILL' EXIT
  berth_nap "$berth_limit"
  berth_kill TERM
  berth_nap "$berth_grace"
) &
berth_s=0 berth_g=run
if [ "$berth_compiled" = 1 ]; then
  berth_g=compile
  ( exec 4<&- ; berth_env; berth_compile ) </dev/null >&7 2>&7 5<&- 6>&- 7>&-
  berth_s=$?
fi
if [ "$berth_s" = 0 ] && [ -z "$berth_stop" ]; then
  berth_g=run
  ( exec 4<&- ; berth_env; berth_program ) <&5 >&6 2>&7 5<&- 6>&- 7>&-
  berth_s=$?
fi
berth_m=
read -r berth_m <&4
kill -KILL -1
berth_now
berth_b=$((berth_t - berth_b))
[ -n "$berth_m" ] && berth_m=signal || berth_m=exit
berth_i=0
while [ $berth_i -lt 200 ]; do
  set -- /proc/[0-9]*
  [ $# -le 2 ] && break
  berth_i=$((berth_i + 1))
  sleep 0.01
done
berth_first /sys/fs/cgroup/memory.peak /sys/fs/cgroup/memory/memory.max_usage_in_bytes
berth_p=$berth_v
berth_key oom_kill /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control
berth_o=$berth_v
berth_cpu
[ "$berth_v" = - ] || berth_v=$((berth_v - berth_c))
berth_m="end $berth_g $berth_m $berth_s $berth_b $berth_v $berth_p $berth_o"
printf '\036%s %s\n' "$berth_n" "$berth_m" >&6
printf '\036%s %s\n' "$berth_n" "$berth_m" >&7
exec 6>&- 7>&-
[ "$berth_hold" = 0 ] || sleep "$berth_hold"
exit "$berth_s"
`

/** Second: supervises. The job's own variables and functions stand before it in the same file. */
export const SUPERVISOR = SUPERVISOR_TEXT.replaceAll("@{", "${")
