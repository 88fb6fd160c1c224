/** Names of Linux signals by number, as containers report them whatever machine the server runs on. */
const NAMES = (
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ " +
  "VTALRM PROF WINCH IO PWR SYS"
).split(" ")

/** @param number of the signal, from 1 */
export const signalName = (number: number): string => {
  const name = NAMES[number - 1]
  return name === undefined ? `SIG${number}` : `SIG${name}`
}
