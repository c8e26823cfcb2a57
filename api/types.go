// Package api is the admin interface of a controller: what it can be asked and
// told over HTTP on a unix socket, the server that answers, and its Go client.
// Who may open the socket may administer the controller; there is no other
// door. It knows nothing of how a controller works: Controller does.
package api

// Status is how a controller stands.
type Status struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`
	// Cluster, Node and Mode are empty without high availability.
	Cluster  string    `json:"cluster,omitempty"`
	Node     int       `json:"node,omitempty"`
	Drained  bool      `json:"drained,omitempty" doc:"this controller serves only what no other can"`
	Mode     string    `json:"mode,omitempty"`
	Nodes    []Node    `json:"nodes,omitempty"`
	Arbiter  *Arbiter  `json:"arbiter,omitempty"`
	LUNs     []LUN     `json:"luns"`
	Sessions []Session `json:"sessions"`
	CHAP     CHAP      `json:"chap"`
}

// CHAP counts the CHAP responses that let nobody in, since the start.
type CHAP struct {
	Wrong  uint64 `json:"wrong" doc:"of an unknown user, or made with another secret"`
	Unread uint64 `json:"unread" doc:"refused unread: too many from that address had been wrong"`
}

// Node is another controller of the cluster.
type Node struct {
	ID      int    `json:"id"`
	Address string `json:"address"`
	// Link is the state of the link to it: 1 configured and not established,
	// 2 established (kern.cam.ctl.ha_link).
	Link    int    `json:"link"`
	Drained bool   `json:"drained,omitempty" doc:"it serves only what no other can, as far as is known here"`
	Problem string `json:"problem,omitempty" doc:"why the link is not established, as far as known"`
}

// Arbiter is the state of what keeps the grants.
type Arbiter struct {
	Kind    string   `json:"kind" doc:"embedded, etcd or none"`
	Quorum  bool     `json:"quorum" doc:"it can be asked"`
	Leader  string   `json:"leader,omitempty"`
	Members []string `json:"members,omitempty"`
	Problem string   `json:"problem,omitempty"`
}

// LUN is a logical unit as the controller sees it.
type LUN struct {
	Name     string    `json:"name"`
	Mappings []Mapping `json:"mappings"`
	Size     uint64    `json:"size" doc:"capacity in bytes; 0 when not known here"`
	// Role is "primary" or "secondary"; Access the state of this
	// controller's ports.
	Role       string `json:"role"`
	Access     string `json:"access"`
	Serving    bool   `json:"serving" doc:"commands are executed by this controller, now"`
	Primary    int    `json:"primary,omitempty"`
	Epoch      uint64 `json:"epoch,omitempty"`
	Candidates []int  `json:"candidates,omitempty"`
	Held       int    `json:"held,omitempty" doc:"commands that wait until somebody may serve"`
	Doing      string `json:"doing,omitempty" doc:"what is awaited"`
	Alarm      string `json:"alarm,omitempty" doc:"the last thing an operator should know"`
}

// Mapping is where a logical unit is found.
type Mapping struct {
	Target string `json:"target"`
	LUN    int    `json:"lun"`
}

// Session is an initiator's session.
type Session struct {
	Initiator string `json:"initiator"`
	Address   string `json:"address"`
	Target    string `json:"target"`
	Portal    string `json:"portal"`
	Digests   string `json:"digests,omitempty"`
}

// Port is a target port, this controller's or a peer's.
type Port struct {
	// Port is CTL's number: those of controller n begin at (n-1)*128. It is
	// the relative target port identifier.
	Port     int    `json:"port"`
	Online   bool   `json:"online"`
	Frontend string `json:"frontend" doc:"iscsi, or ha for a port of a peer"`
	Name     string `json:"name"`
	Physical int    `json:"pp" doc:"the portal group tag"`
	Virtual  int    `json:"vp"`
	// Target is the SCSI port name.
	Target string `json:"target"`
}

// Maintenance names a controller that is to be drained, or not any more.
type Maintenance struct {
	Node int `json:"node,omitempty" minimum:"0" maximum:"8" doc:"the controller; 0 for the one that is asked"`
}

// Promotion asks that the controller become primary of a logical unit.
type Promotion struct {
	LUN   string `json:"lun" maxLength:"255" minLength:"1"`
	Force bool   `json:"force,omitempty" doc:"take it although its primary cannot be reached and is not fenced"`
}
