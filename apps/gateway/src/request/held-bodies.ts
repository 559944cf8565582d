/** Bodies up to this size always pass: small requests, and administration, go on whatever large ones fill. */
const smallBytes = 64 * 1024;
/** Part of the room that one key may fill: what is left is for others. */
const keyPart = 0.5;

/** The bytes of request bodies that a worker holds, of requests whose answers have not ended. */
export class HeldBodies {
  #bytes = 0;
  readonly #byKey = new Map<string, number>();

  /** Takes in a piece of a body that is `bodyBytes` long with it; false when there is no room for it, of `most` bytes in all. */
  add(keyId: string, bytes: number, bodyBytes: number, most: number): boolean {
    const own = (this.#byKey.get(keyId) ?? 0) + bytes;
    this.#bytes += bytes;
    this.#byKey.set(keyId, own);
    return bodyBytes <= smallBytes || (this.#bytes <= most && own <= most * keyPart);
  }

  /** Lets go of a body, or of what of it was taken in. */
  release(keyId: string, bytes: number): void {
    const left = (this.#byKey.get(keyId) ?? 0) - bytes;
    this.#bytes -= bytes;
    if (left > 0) this.#byKey.set(keyId, left);
    else this.#byKey.delete(keyId);
  }
}
