package iscsi

// Before tells whether sequence number a comes before b in the serial number
// arithmetic of RFC 1982 with 32 bits, which iSCSI uses for CmdSN, StatSN and
// the rest (RFC 7143 §4.2.2.1). For two numbers 2^31 apart, where the RFC
// leaves the answer undefined, it is true both ways.
func Before(a, b uint32) bool { return int32(a-b) < 0 }

// InWindow tells whether n is in [first, last], both included, by the same
// arithmetic. last may be first-1: the window is closed.
func InWindow(n, first, last uint32) bool { return !Before(n, first) && !Before(last, n) }
