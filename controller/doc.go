// Package controller puts one controller together from its configuration:
// backends, logical units, the node of the cluster, the iSCSI target and the
// admin interface; and it takes it apart again in an order that loses nothing.
// It holds no protocol and decides nothing about who serves.
package controller
