package ctlconf

// Witness is the configuration of a witness: a member of the embedded arbiter
// that serves no disk. Its file holds one section:
//
//	witness {
//		cluster beast
//		name w
//		certificate /etc/tandem/node.pem
//		key /etc/tandem/node.key
//		ca /etc/tandem/ca.pem
//		arbiter embedded {
//			data /var/lib/tandem/arbiter
//			listen 192.168.10.103:7778
//			member 1 192.168.10.101:7778
//			member 2 192.168.10.102:7778
//			member w 192.168.10.103:7778
//		}
//	}
//
// and may have pidfile PATH before or behind it.
type Witness struct {
	Item
	// File is the name given to ParseWitness.
	File string
	// PIDFile is where the process writes its id; "" by default: nowhere.
	PIDFile string
	// Cluster is the name that all members share.
	Cluster string
	// Name of this witness among the members of the arbiter.
	Name string
	// Certificate, Key and CA are paths of PEM files; in the file they may be
	// relative to it.
	Certificate, Key, CA string
	// Arbiter is this member and the others.
	Arbiter EmbeddedArbiter

	sections int
	embedded bool
}

// Errorf makes an error about a place in the file.
func (w *Witness) Errorf(at Position, format string, args ...any) Diagnostic {
	return (&Config{File: w.File}).Errorf(at, format, args...)
}

// ParseWitness reads the configuration of a witness, as Parse does that of a
// controller.
func ParseWitness(file string, src []byte) (*Witness, Diagnostics) {
	p := newParser(file, src)
	w := &Witness{File: file}
	witnessFile.file(p, w)
	if w.sections == 0 {
		p.errorf(Position{}, "there is no witness section, expected witness { ... }")
		return w, p.result()
	}
	validateWitness(p.reporter, w)
	return w, p.result()
}

var witnessFile = section[*Witness]{
	name: "the file",
	statements: map[string]statement[*Witness]{
		"pidfile": {params: "path", set: func(p *parser, w *Witness, a arguments) {
			w.PIDFile = p.path(a, 0)
		}},
		"witness": {open: func(p *parser, w *Witness, a arguments) {
			w.Position = a.key.pos
			w.sections++
			witnessSection.braces(p, w)
		}},
	},
}

var witnessSection = section[*Witness]{
	name: "witness",
	statements: map[string]statement[*Witness]{
		"arbiter": {params: "embedded", open: openWitnessArbiter},
		"ca":      {params: "path", set: func(p *parser, w *Witness, a arguments) { w.CA = p.near(a, 0) }},
		"certificate": {params: "path", set: func(p *parser, w *Witness, a arguments) {
			w.Certificate = p.near(a, 0)
		}},
		"cluster": {params: "name", set: func(p *parser, w *Witness, a arguments) { w.Cluster = p.label(a, 0) }},
		"key":     {params: "path", set: func(p *parser, w *Witness, a arguments) { w.Key = p.near(a, 0) }},
		"name":    {params: "name", set: func(p *parser, w *Witness, a arguments) { w.Name = p.label(a, 0) }},
	},
}

func openWitnessArbiter(p *parser, w *Witness, a arguments) {
	if p.choice(a, 0, "arbiter of a witness", "embedded") == "" {
		p.skipBraces()
		return
	}
	w.embedded = true
	w.Arbiter.Item = Item{Position: a.key.pos}
	embeddedSection.braces(p, &w.Arbiter)
}
