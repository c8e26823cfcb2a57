package ctlconf

// NVMe over Fabrics stands in ctl.conf(5) beside iSCSI. Its sections are
// parsed, so that what is wrong in them is found too, and then refused by name.

// nvme is a section of NVMe over Fabrics, of which nothing is kept.
type nvme struct{ Item }

var transportGroupSection = section[*nvme]{
	name: "transport-group",
	statements: map[string]statement[*nvme]{
		"discovery-auth-group": {params: "name", set: ignore},
		"discovery-filter":     {params: "filter", set: ignore},
		"dscp":                 {params: "value", set: ignore},
		"listen":               {params: "tcp|discovery-tcp address", many: true, set: ignore},
		"option":               {params: "name value", many: true, set: ignore},
		"pcp":                  {params: "value", set: ignore},
		"tag":                  {params: "value", set: ignore},
	},
}

var controllerSection = section[*nvme]{
	name: "controller",
	statements: map[string]statement[*nvme]{
		"auth-group":      {params: "name", set: ignore},
		"auth-type":       {params: "type", many: true, set: ignore},
		"host-address":    {params: "address", many: true, set: ignore},
		"host-nqn":        {params: "name", many: true, set: ignore},
		"namespace":       {params: "number [name]", many: true, set: ignore, open: openNamespace},
		"transport-group": {params: "name [auth-group]", many: true, set: ignore},
	},
}

func ignore(*parser, *nvme, arguments) {}

func openNamespace(p *parser, _ *nvme, a arguments) {
	p.lun(a)
}

func openTransportGroup(p *parser, _ *Config, a arguments) {
	p.noNVMe(a)
	transportGroupSection.braces(p, &nvme{})
}

func openNVMeController(p *parser, _ *Config, a arguments) {
	p.noNVMe(a)
	controllerSection.braces(p, &nvme{})
}

// noNVMe refuses a statement of NVMe over Fabrics by name.
func (p *parser) noNVMe(a arguments) {
	p.errorf(a.key.pos, "%s %s: NVMe over Fabrics is not supported yet", a.key.text, quote(a.text(0)))
}
