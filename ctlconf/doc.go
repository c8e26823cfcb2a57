// Package ctlconf reads the configuration of a controller: the grammar of
// FreeBSD's ctl.conf(5), Tandem's ha section in the same file, and the small
// witness.conf of a witness.
//
// Parse turns bytes into a typed Config and the complete list of what is wrong
// with them, each problem as file:line:column with what was expected. A Config
// that came with no error is consistent: every name it refers to is resolved,
// every number is in range, every default is filled in.
//
// The package is pure: it opens no file, resolves no host name, reads no
// clock. Whether a path can be opened or an address exists on this machine is
// for the caller to find out, who then points at the right place with
// Config.Errorf and Item.At. It never prints a secret: CHAP secrets are of
// type Secret, and words that may be part of one are left out of messages.
//
// The documents that rule it are ctl.conf(5), the OPTIONS section of
// ctladm(8), and RFC 7143 §4.2.7 for iSCSI names. Where it differs from
// ctld(8): groups and LUNs may be used before they are defined; an unknown LUN
// option is an error; a backslash in a quoted string escapes a quote or a
// backslash; a quoted string ends on the line it begins on; an optional
// argument stands on the line of its keyword.
package ctlconf
