import type { Attack } from "./attack.ts"
import { HANDSHAKE_ATTACKS } from "./handshakeAttacks.ts"
import { LOAD_ATTACKS } from "./loadAttacks.ts"
import { MESSAGE_ATTACKS } from "./messageAttacks.ts"
import { TOKEN_ATTACKS } from "./tokenAttacks.ts"

/** Everything that is tried at the door. */
export const ATTACKS: readonly Attack[] = [...HANDSHAKE_ATTACKS, ...TOKEN_ATTACKS, ...MESSAGE_ATTACKS, ...LOAD_ATTACKS]
