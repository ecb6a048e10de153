// The last guard before a person or a log file: whatever a text came from, no cap leaves in it.

/** The text with its caps taken out, also as they stand in a URL. */
export const withoutCaps = (text: string): string =>
  text.replace(
    /(?:\b(?:ro|imm)\.)?\bURI(?::|%3A)[\w-]+(?::|%3A)[^\s'"`\\]*?(?=[:;,.)]*(?:[\s'"`\\]|$))/gi,
    '[cap]',
  )
