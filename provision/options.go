// Package provision writes all that a new cluster needs into one directory: an
// authority of its own, a certificate for each controller and the witness, and
// their configurations. It is what tandem init does, without flags and
// printing.
//
// It writes all or nothing: nothing that is there already is touched, and when
// something fails only what it made itself is removed. It never writes a
// configuration that package ctlconf would refuse. The private key of the
// authority stays in ca/, apart from what goes to the controllers: who has it
// can make members.
package provision

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-san/tandem/ctlconf"
)

// Options say what to write.
type Options struct {
	// Dir is the directory to write into. It may be there already, as long as
	// nothing that would be written is.
	Dir string
	// Cluster is the name of the cluster, 1 to 32 letters, digits, - or _;
	// "tandem" when empty.
	Cluster string
	// Target is the iSCSI name of the target; when empty
	// iqn.2026-01.san.tandem: and the name of the cluster.
	Target string
	// Mode is the mode word of the ha section; active-active-forward when
	// empty.
	Mode string
	// Nodes are the controllers, 2 to 8. With Loopback their addresses are
	// left out, and without any they are 1 and 2.
	Nodes []Node
	// Witnesses are where the witnesses run, MaxWitnesses at most; left out with
	// Loopback. Controllers and witnesses are the members of the arbiter, of which
	// an odd number is right. An even number of controllers needs one.
	Witnesses []netip.Addr
	// LUNs are the logical units, at least one, numbered from 0 in this order.
	LUNs []LUN
	// Loopback puts everybody on 127.0.0.1, with ports that are free now, a
	// fence that kills the other process, and all data inside Dir.
	Loopback bool
}

// MaxWitnesses is how many witnesses a cluster may have: with more the arbiter
// would lose no less.
const MaxWitnesses = 2

// Node is a controller.
type Node struct {
	// ID is 1 to 8.
	ID uint8
	// Address is where its peers and the initiators reach it.
	Address netip.Addr
}

// ParseNode reads ID=ADDRESS, such as 1=192.0.2.1.
func ParseNode(s string) (Node, error) {
	id, addr, ok := strings.Cut(s, "=")
	n, err := strconv.ParseUint(id, 10, 8)
	ip, ipErr := ParseAddress(addr)
	if !ok || err != nil || n < 1 || n > ctlconf.MaxNodeID {
		return Node{}, fmt.Errorf("node %q, expected ID=ADDRESS with an id from 1 to %d, such as 1=192.0.2.1", s, ctlconf.MaxNodeID)
	}
	if ipErr != nil {
		return Node{}, fmt.Errorf("node %q: %w", s, ipErr)
	}
	return Node{uint8(n), ip}, nil
}

// ParseAddress reads an address that others can connect to.
func ParseAddress(s string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil || ip.IsUnspecified() || ip.IsMulticast() {
		return netip.Addr{}, fmt.Errorf("address %q, expected the IP address of a machine, such as 192.0.2.1", s)
	}
	return ip.Unmap(), nil
}

// LUN is a logical unit.
type LUN struct {
	// Name is its name in the cluster: letters, digits, -, _ and dots.
	Name string
	// Path of the file or device that both controllers reach. A relative one
	// begins at the working directory.
	Path string
	// Size in bytes; 0 takes the size of what is at Path.
	Size uint64
	// BlockSize in bytes; 0 for the default.
	BlockSize uint32
	// Serial number; "" derives it.
	Serial string
	// Fence as in option fence; "" for the default, which is none, or with
	// Loopback the process.
	Fence string
	// Home is the id of the controller that makes the first grant and takes the
	// logical unit back where that is asked for; 0 for the lowest.
	Home uint8
}

// ParseLUN reads NAME=PATH[,size=SIZE][,blocksize=SIZE][,serial=TEXT][,home=ID][,fence=FENCE],
// such as data=/srv/data.img,size=10G. A fence comes last, as it may hold
// commas.
func ParseLUN(s string) (LUN, error) {
	first, rest, _ := strings.Cut(s, ",")
	name, path, ok := strings.Cut(first, "=")
	if !ok || path == "" {
		return LUN{}, fmt.Errorf("lun %q, expected NAME=PATH, perhaps with ,size=SIZE behind it, such as data=/srv/data.img,size=10G", first)
	}
	l := LUN{Name: name, Path: path}
	if err := l.checkName(); err != nil {
		return LUN{}, err
	}
	for rest != "" {
		var field string
		if field = rest; strings.HasPrefix(rest, "fence=") {
			rest = ""
		} else {
			field, rest, _ = strings.Cut(rest, ",")
		}
		if err := l.set(field); err != nil {
			return LUN{}, fmt.Errorf("lun %s: %w", name, err)
		}
	}
	return l, nil
}

func (l *LUN) checkName() error {
	if l.Name == "" || len(l.Name) > 64 || strings.ContainsFunc(l.Name, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", r)
	}) {
		return fmt.Errorf("lun %q, expected a name of 1 to 64 letters, digits, -, _ and dots", l.Name)
	}
	return nil
}

// set reads one KEY=VALUE of ParseLUN.
func (l *LUN) set(field string) (err error) {
	key, value, _ := strings.Cut(field, "=")
	switch key {
	case "size":
		if l.Size, err = ctlconf.ParseSize(value); err != nil {
			return fmt.Errorf("size %w", err)
		}
	case "blocksize":
		n, err := ctlconf.ParseSize(value)
		if err != nil || n != 512 && n != 4096 {
			return fmt.Errorf("blocksize %q, expected 512 or 4096", value)
		}
		l.BlockSize = uint32(n)
	case "serial":
		l.Serial = value
	case "home":
		n, err := strconv.ParseUint(value, 10, 8)
		if err != nil || n < 1 || n > ctlconf.MaxNodeID {
			return fmt.Errorf("home %q, expected the id of a controller, 1 to %d", value, ctlconf.MaxNodeID)
		}
		l.Home = uint8(n)
	case "fence":
		if _, err := ctlconf.ParseFence(value); err != nil {
			return fmt.Errorf("fence: %w", err)
		}
		l.Fence = value
	default:
		return fmt.Errorf("unknown %q, expected size=, blocksize=, serial=, home= or fence=", key)
	}
	return nil
}

// complete checks the options and fills in what was left out.
func (o Options) complete() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("no directory given to write into")
	}
	if o.Cluster == "" {
		o.Cluster = "tandem"
	}
	if o.Target == "" {
		o.Target = "iqn.2026-01.san.tandem:" + strings.ReplaceAll(strings.ToLower(o.Cluster), "_", "-")
	}
	if o.Mode == "" {
		o.Mode = ctlconf.ActiveActiveForward.String()
	}
	if o.Loopback {
		if err := o.loopback(); err != nil {
			return o, err
		}
	}
	if len(o.Nodes) < 2 || len(o.Nodes) > ctlconf.MaxNodeID {
		return o, fmt.Errorf("%d nodes, expected 2 to %d", len(o.Nodes), ctlconf.MaxNodeID)
	}
	if len(o.Witnesses) == 0 && len(o.Nodes)%2 == 0 {
		return o, errors.New("no witness given, expected the address of a machine that is no controller")
	}
	if len(o.Witnesses) > MaxWitnesses {
		return o, fmt.Errorf("%d witnesses, expected at most %d", len(o.Witnesses), MaxWitnesses)
	}
	if len(o.LUNs) == 0 {
		return o, errors.New("no lun given, expected at least one")
	}
	return o, o.checkDistinct()
}

// loopback puts everybody on 127.0.0.1, with as many witnesses as make the
// number of members odd.
func (o *Options) loopback() error {
	here := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for _, w := range o.Witnesses {
		if w != here {
			return fmt.Errorf("witness %s with loopback, expected no address", w)
		}
	}
	nodes := o.Nodes
	if len(nodes) == 0 {
		nodes = []Node{{ID: 1}, {ID: 2}}
	}
	o.Nodes = nil
	for _, n := range nodes {
		if n.Address.IsValid() && n.Address != here {
			return fmt.Errorf("node %d at %s with loopback, expected no address", n.ID, n.Address)
		}
		o.Nodes = append(o.Nodes, Node{n.ID, here})
	}
	if len(o.Witnesses) == 0 {
		o.Witnesses = slices.Repeat([]netip.Addr{here}, 1+len(nodes)%2)
	}
	return nil
}

func (o *Options) checkDistinct() error {
	ids := make(map[uint8]bool)
	hosts := map[netip.Addr]string{}
	for i, w := range o.Witnesses {
		if o.Loopback {
			continue
		}
		if other, taken := hosts[w]; taken {
			return fmt.Errorf("%s and witness %s have the address %s, expected a machine for each", other, witnessName(i), w)
		}
		hosts[w] = "witness " + witnessName(i)
	}
	for _, n := range o.Nodes {
		who := fmt.Sprintf("node %d", n.ID)
		if ids[n.ID] {
			return fmt.Errorf("%s is given twice, expected ids that differ", who)
		}
		ids[n.ID] = true
		if other, taken := hosts[n.Address]; taken {
			return fmt.Errorf("%s and %s have the address %s, expected a machine for each (or loopback)", other, who, n.Address)
		}
		if !o.Loopback {
			hosts[n.Address] = who
		}
	}
	names := make(map[string]bool)
	for i := range o.LUNs {
		l := &o.LUNs[i]
		if err := l.checkName(); err != nil {
			return err
		}
		if names[l.Name] {
			return fmt.Errorf("lun %s is given twice, expected names that differ", l.Name)
		}
		names[l.Name] = true
		if l.Home != 0 && !ids[l.Home] {
			return fmt.Errorf("lun %s has its home at controller %d, expected the id of a node", l.Name, l.Home)
		}
	}
	return nil
}
