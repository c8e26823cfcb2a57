// Package statefile keeps the state of logical units on stable storage: a
// directory per controller, a file per logical unit. What Save has taken is
// there after a loss of power; a Save that was cut short leaves the file as it
// was before. It never answers something else than what was saved: a file
// that is damaged, of another version, or of another logical unit or
// controller is an error that names it.
//
// It does not know what a State means, nor which of two is newer: package
// ha/node does, for a pair, and package controller without high availability.
//
// # The file
//
// All numbers are big-endian.
//
//	0   8   "TANDEMLU"
//	8   4   version of the format, 1
//	12  4   n, the length of the record
//	16  32  SHA-256 of the record
//	48  n   the record, JSON
package statefile
