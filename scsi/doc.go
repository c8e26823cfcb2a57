// Package scsi is the vocabulary of SCSI as Tandem speaks it: status codes,
// sense data, command descriptor blocks, VPD, mode and log pages, parameter
// lists, and the command table that says what each command is.
//
// It is pure data and codecs: bytes in, values out and back. It starts no
// goroutine, opens nothing, reads no clock and holds no state; what a command
// does to a logical unit is the business of package lun. Every decoder takes
// untrusted bytes and answers with an error, never with a panic, and never
// reads past what it was given.
//
// It follows SAM-6 (architecture), SPC-5 (commands all devices share) and
// SBC-4 (block commands); clauses are cited where a rule is taken from one.
package scsi
