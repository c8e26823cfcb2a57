package nemesis

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// network is one of the three networks of a cluster.
type network byte

const (
	clients network = iota + 1 // initiators and portals
	link                       // between controllers
	arbiter                    // controllers and witnesses
)

func (n network) String() string { return [...]string{"", "client", "link", "arbiter"}[n] }

// The numbers of hosts: controllers are 1 to 8.
const (
	witnessHost = 11 // and 12
	clientHost  = 21
)

// port is where a host is attached to a network.
type port struct {
	net  network
	host int
}

// device is the name of the interface, at the host and at the router.
func (p port) device() string { return fmt.Sprintf("%c%d", p.net.String()[0], p.host) }

func (p port) address() string { return fmt.Sprintf("10.231.%d.%d", p.net, p.host) }

func (p port) String() string { return fmt.Sprintf("%v network of %s", p.net, hostName(p.host)) }

func hostName(host int) string {
	switch {
	case host >= clientHost:
		return "the clients"
	case host >= witnessHost:
		return fmt.Sprintf("witness %d", host-witnessHost+1)
	}
	return fmt.Sprintf("controller %d", host)
}

// fabric is the hosts of a cluster, each a namespace, and a router between them
// that drops, delays and throttles.
type fabric struct {
	router *namespace
	hosts  map[int]*namespace
	tunnel *tunnel
	bent   map[port]shape // what goes through the tunnel
}

// impairment is what is wrong with a port.
type impairment struct {
	port
	in, out bool // towards and from the host nothing gets through
	loss    int  // per mille, both ways
	shape   shape
}

func newFabric(ports []port) (*fabric, error) {
	f := &fabric{hosts: map[int]*namespace{}, bent: map[port]shape{}}
	if err := f.build(ports); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fabric) build(ports []port) (err error) {
	if f.router, err = newNamespace(); err != nil {
		return err
	}
	if err := f.forwards(); err != nil {
		return err
	}
	// Without names of interfaces that are not there yet.
	if err := f.script(f.router, "nft -f -", "add table inet nemesis",
		"add chain inet nemesis forward { type filter hook forward priority 0; policy accept; }"); err != nil {
		return err
	}
	if f.tunnel, err = newTunnel(f.router); err != nil {
		return err
	}
	if err := f.script(f.router, "ip -batch -", "link set lo up", "link set "+tunnelDevice+" up",
		"rule add pref 100 iif "+tunnelDevice+" lookup main", "route add default dev "+tunnelDevice+" table 100"); err != nil {
		return err
	}
	for _, p := range ports {
		if err := f.attach(p); err != nil {
			return err
		}
	}
	return nil
}

// forwards makes a router of the router.
func (f *fabric) forwards() (err error) {
	f.router.do(func() {
		for name, value := range map[string]string{"ip_forward": "1", "conf/all/rp_filter": "0", "conf/default/rp_filter": "0",
			"conf/all/send_redirects": "0", "conf/default/send_redirects": "0"} {
			if e := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0); e != nil {
				err = e
			}
		}
	})
	return err
}

// attach lays a cable from a host to the router.
func (f *fabric) attach(p port) (err error) {
	host := f.hosts[p.host]
	if host == nil {
		if host, err = newNamespace(); err != nil {
			return err
		}
		f.hosts[p.host] = host
		if err := f.script(host, "ip -batch -", "link set lo up"); err != nil {
			return err
		}
	}
	dev, gateway := p.device(), port{p.net, 254}.address()
	if err := f.script(f.router, "ip -batch -",
		fmt.Sprintf("link add %s type veth peer name %s netns %s", dev, dev, host.path()),
		fmt.Sprintf("addr add %s peer %s/32 dev %s", gateway, p.address(), dev),
		fmt.Sprintf("link set %s up", dev)); err != nil {
		return err
	}
	return f.script(host, "ip -batch -",
		fmt.Sprintf("addr add %s peer %s/32 dev %s", p.address(), gateway, dev),
		fmt.Sprintf("link set %s up", dev),
		fmt.Sprintf("route add 10.231.%d.0/24 via %s", p.net, gateway))
}

// script has a program in a namespace read lines.
func (f *fabric) script(n *namespace, command string, lines ...string) error {
	words := strings.Fields(command)
	_, err := n.run(context.Background(), strings.Join(lines, "\n")+"\n", words[0], words[1:]...)
	return err
}

// impair makes exactly these things wrong.
func (f *fabric) impair(all []impairment) error {
	rules := []string{"flush chain inet nemesis forward"}
	rule := func(direction string, p port, what string) {
		rules = append(rules, fmt.Sprintf("add rule inet nemesis forward %s %q %s", direction, p.device(), what))
	}
	bent := map[port]shape{}
	for _, i := range all {
		if i.in {
			rule("oifname", i.port, "drop")
		}
		if i.out {
			rule("iifname", i.port, "drop")
		}
		if i.loss > 0 {
			for _, direction := range []string{"iifname", "oifname"} {
				rule(direction, i.port, fmt.Sprintf("numgen random mod 1000 < %d drop", i.loss))
			}
		}
		if i.shape != (shape{}) {
			bent[i.port] = bent[i.port].and(i.shape)
		}
	}
	if err := f.script(f.router, "nft -f -", rules...); err != nil {
		return err
	}
	return f.bend(bent)
}

// bend leads what comes from and goes to these ports through the tunnel.
func (f *fabric) bend(ports map[port]shape) error {
	f.tunnel.set(ports)
	var rules []string
	change := func(verb string, p port) {
		rules = append(rules, fmt.Sprintf("rule %s pref 200 iif %s lookup 100", verb, p.device()),
			fmt.Sprintf("rule %s pref 200 to %s lookup 100", verb, p.address()))
	}
	for p := range ports {
		if _, is := f.bent[p]; !is {
			change("add", p)
		}
	}
	for p := range f.bent {
		if _, stays := ports[p]; !stays {
			change("del", p)
		}
	}
	f.bent = ports
	if len(rules) == 0 {
		return nil
	}
	return f.script(f.router, "ip -batch -", rules...)
}

// close takes everything down. Processes in it have ended.
func (f *fabric) close() {
	if f.tunnel != nil {
		f.tunnel.close()
	}
	for _, h := range f.hosts {
		h.close()
	}
	if f.router != nil {
		f.router.close()
	}
}
