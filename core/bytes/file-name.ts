/** No file of a repository lies so deep; Windows ends at 260 unless told otherwise, Linux at 4,096. */
const MAX_NAME_CHARS = 1000
/** What every file system in use can hold of one name. */
const MAX_PART_BYTES = 255

/** Devices that Windows finds in every folder, whatever follows the first dot. */
const RESERVED = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)( *\.|$)/i
/** What Windows does not allow in names; a colon is a drive or a hidden stream there. */
const FORBIDDEN = /[\0-\x1f\x7f<>:"|?*]/

/** Why a name, its parts separated by `/`, cannot be that of a file in every system's folder; null where it can. */
export function nameFault(name: string): { reason: string; text: string } | null {
  const fault = (reason: string, text: string): { reason: string; text: string } => ({ reason, text })
  if (name.includes('\0')) return fault('ZeroByte', 'it holds a zero byte')
  if (name.includes('\\')) return fault('Backslash', 'it holds a backslash, which separates folders on Windows')
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) return fault('AbsolutePath', 'it is an absolute path')
  if (name.length > MAX_NAME_CHARS) return fault('NameTooLong', `it has more than ${MAX_NAME_CHARS} characters`)
  if (/\ufffd|\p{Surrogate}/u.test(name)) return fault('InvalidUtf8', 'it is not UTF-8')
  for (const part of name.split('/')) {
    if (part === '..') return fault('PathTraversal', 'it leads out of its folder')
    if (part === '' || part === '.') return fault('EmptyPart', 'it has an empty part')
    if (FORBIDDEN.test(part)) return fault('ForbiddenCharacter', 'it holds a character that file systems do not allow')
    if (RESERVED.test(part)) return fault('ReservedName', 'it is the name of a device on Windows')
    if (/[. ]$/.test(part)) return fault('TrailingDot', 'it ends in a dot or a space, which Windows drops')
    if (Buffer.byteLength(part) > MAX_PART_BYTES) return fault('NameTooLong', `a part of it has more than ${MAX_PART_BYTES} bytes`)
  }
  return null
}

/** What two names have in common that are one file on a system that knows no case or only one composition of letters. */
export function foldedName(name: string): string {
  return name.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC')
}
