// Package isns registers targets with iSNS servers, so that initiators find
// them without being told of each portal (RFC 4171).
//
// A Registrar keeps an Entity registered with each of its servers: it
// registers it (DevAttrReg), asks from time to time whether it is still there,
// which also keeps the server from forgetting it (DevAttrQry, §5.6.5.2), takes
// off what is gone (DevDereg) and, when it is stopped, what it registered.
//
// An entity may be shared: the controllers of a cluster offer the same targets,
// and an iSCSI name belongs to one network entity only (§3.4). Each of them
// registers its own portals in it and takes off no more than those.
//
// Registration is a service to initiators, never a condition of serving them:
// a server that is away, slow or wrong costs nothing but lines in the log. What
// servers answer is not trusted: it is bounded in length and time.
package isns
