/** JSON in which nothing is for a terminal to obey: control and format characters, such as U+009B and those that turn the direction of text, are escaped. */
export function printableJson(value: unknown, indent?: number): string {
  // Line feeds are the layout's own: those within strings are escaped already.
  return JSON.stringify(value, null, indent).replace(/(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from({ length: character.length }, (_, unit) => escaped(character.charCodeAt(unit))).join(''),
  )
}

function escaped(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`
}
