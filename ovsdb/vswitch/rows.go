// SPDX-License-Identifier: Apache-2.0

package vswitch

import "github.com/weirswitch/weir/ovsdb"

// The tables of the Open_vSwitch schema as Go types: a field a column, named
// after it. What the columns mean is in ovs-vswitchd.conf.db(5). A pointer is nil
// where the column is empty; a UUID refers to a row of the table that the comment
// names. TestRows compares each field with the schema.

// OpenVSwitch is a row of table Open_vSwitch.
type OpenVSwitch struct {
	UUID ovsdb.UUID

	Bridges         []ovsdb.UUID          `ovs:"bridges"` // Bridge
	CurCfg          int64                 `ovs:"cur_cfg"`
	DatapathTypes   []string              `ovs:"datapath_types"`
	Datapaths       map[string]ovsdb.UUID `ovs:"datapaths"` // Datapath
	DBVersion       *string               `ovs:"db_version"`
	DPDKInitialized bool                  `ovs:"dpdk_initialized"`
	DPDKVersion     *string               `ovs:"dpdk_version"`
	ExternalIDs     map[string]string     `ovs:"external_ids"`
	IfaceTypes      []string              `ovs:"iface_types"`
	ManagerOptions  []ovsdb.UUID          `ovs:"manager_options"` // Manager
	NextCfg         int64                 `ovs:"next_cfg"`
	OtherConfig     map[string]string     `ovs:"other_config"`
	OVSVersion      *string               `ovs:"ovs_version"`
	SSL             *ovsdb.UUID           `ovs:"ssl"`        // SSL
	Statistics      map[string]string     `ovs:"statistics"` // ephemeral
	SystemType      *string               `ovs:"system_type"`
	SystemVersion   *string               `ovs:"system_version"`
}

// Bridge is a row of table Bridge.
type Bridge struct {
	UUID ovsdb.UUID

	AutoAttach          *ovsdb.UUID          `ovs:"auto_attach"` // AutoAttach
	Controller          []ovsdb.UUID         `ovs:"controller"`  // Controller
	DatapathID          *string              `ovs:"datapath_id"` // ephemeral
	DatapathType        string               `ovs:"datapath_type"`
	DatapathVersion     string               `ovs:"datapath_version"`
	ExternalIDs         map[string]string    `ovs:"external_ids"`
	FailMode            *string              `ovs:"fail_mode"`
	FloodVLANs          []int64              `ovs:"flood_vlans"`
	FlowTables          map[int64]ovsdb.UUID `ovs:"flow_tables"` // Flow_Table
	IPFIX               *ovsdb.UUID          `ovs:"ipfix"`       // IPFIX
	McastSnoopingEnable bool                 `ovs:"mcast_snooping_enable"`
	Mirrors             []ovsdb.UUID         `ovs:"mirrors"` // Mirror
	Name                string               `ovs:"name"`    // immutable
	NetFlow             *ovsdb.UUID          `ovs:"netflow"` // NetFlow
	OtherConfig         map[string]string    `ovs:"other_config"`
	Ports               []ovsdb.UUID         `ovs:"ports"` // Port
	Protocols           []string             `ovs:"protocols"`
	RSTPEnable          bool                 `ovs:"rstp_enable"`
	RSTPStatus          map[string]string    `ovs:"rstp_status"` // ephemeral
	SFlow               *ovsdb.UUID          `ovs:"sflow"`       // sFlow
	Status              map[string]string    `ovs:"status"`      // ephemeral
	STPEnable           bool                 `ovs:"stp_enable"`
}

// Port is a row of table Port.
type Port struct {
	UUID ovsdb.UUID

	BondActiveSlave *string           `ovs:"bond_active_slave"`
	BondDowndelay   int64             `ovs:"bond_downdelay"`
	BondFakeIface   bool              `ovs:"bond_fake_iface"`
	BondMode        *string           `ovs:"bond_mode"`
	BondUpdelay     int64             `ovs:"bond_updelay"`
	CVLANs          []int64           `ovs:"cvlans"`
	ExternalIDs     map[string]string `ovs:"external_ids"`
	FakeBridge      bool              `ovs:"fake_bridge"`
	Interfaces      []ovsdb.UUID      `ovs:"interfaces"` // Interface
	LACP            *string           `ovs:"lacp"`
	MAC             *string           `ovs:"mac"`
	Name            string            `ovs:"name"` // immutable
	OtherConfig     map[string]string `ovs:"other_config"`
	Protected       bool              `ovs:"protected"`
	QoS             *ovsdb.UUID       `ovs:"qos"`             // QoS
	RSTPStatistics  map[string]int64  `ovs:"rstp_statistics"` // ephemeral
	RSTPStatus      map[string]string `ovs:"rstp_status"`     // ephemeral
	Statistics      map[string]int64  `ovs:"statistics"`      // ephemeral
	Status          map[string]string `ovs:"status"`          // ephemeral
	Tag             *int64            `ovs:"tag"`
	Trunks          []int64           `ovs:"trunks"`
	VLANMode        *string           `ovs:"vlan_mode"`
}

// Interface is a row of table Interface.
type Interface struct {
	UUID ovsdb.UUID

	AdminState                *string           `ovs:"admin_state"` // ephemeral
	BFD                       map[string]string `ovs:"bfd"`
	BFDStatus                 map[string]string `ovs:"bfd_status"`       // ephemeral
	CFMFault                  *bool             `ovs:"cfm_fault"`        // ephemeral
	CFMFaultStatus            []string          `ovs:"cfm_fault_status"` // ephemeral
	CFMFlapCount              *int64            `ovs:"cfm_flap_count"`
	CFMHealth                 *int64            `ovs:"cfm_health"` // ephemeral
	CFMMPID                   *int64            `ovs:"cfm_mpid"`
	CFMRemoteMPIDs            []int64           `ovs:"cfm_remote_mpids"`   // ephemeral
	CFMRemoteOpstate          *string           `ovs:"cfm_remote_opstate"` // ephemeral
	Duplex                    *string           `ovs:"duplex"`             // ephemeral
	Error                     *string           `ovs:"error"`
	ExternalIDs               map[string]string `ovs:"external_ids"`
	IfIndex                   *int64            `ovs:"ifindex"` // ephemeral
	IngressPolicingBurst      int64             `ovs:"ingress_policing_burst"`
	IngressPolicingKpktsBurst int64             `ovs:"ingress_policing_kpkts_burst"`
	IngressPolicingKpktsRate  int64             `ovs:"ingress_policing_kpkts_rate"`
	IngressPolicingRate       int64             `ovs:"ingress_policing_rate"`
	LACPCurrent               *bool             `ovs:"lacp_current"` // ephemeral
	LinkResets                *int64            `ovs:"link_resets"`  // ephemeral
	LinkSpeed                 *int64            `ovs:"link_speed"`   // ephemeral
	LinkState                 *string           `ovs:"link_state"`   // ephemeral
	LLDP                      map[string]string `ovs:"lldp"`
	MAC                       *string           `ovs:"mac"`
	MACInUse                  *string           `ovs:"mac_in_use"` // ephemeral
	MTU                       *int64            `ovs:"mtu"`        // ephemeral
	MTURequest                *int64            `ovs:"mtu_request"`
	Name                      string            `ovs:"name"` // immutable
	OFPort                    *int64            `ovs:"ofport"`
	OFPortRequest             *int64            `ovs:"ofport_request"`
	Options                   map[string]string `ovs:"options"`
	OtherConfig               map[string]string `ovs:"other_config"`
	Statistics                map[string]int64  `ovs:"statistics"` // ephemeral
	Status                    map[string]string `ovs:"status"`     // ephemeral
	Type                      string            `ovs:"type"`
}

// Controller is a row of table Controller.
type Controller struct {
	UUID ovsdb.UUID

	ConnectionMode       *string           `ovs:"connection_mode"`
	ControllerBurstLimit *int64            `ovs:"controller_burst_limit"`
	ControllerQueueSize  *int64            `ovs:"controller_queue_size"`
	ControllerRateLimit  *int64            `ovs:"controller_rate_limit"`
	EnableAsyncMessages  *bool             `ovs:"enable_async_messages"`
	ExternalIDs          map[string]string `ovs:"external_ids"`
	InactivityProbe      *int64            `ovs:"inactivity_probe"`
	IsConnected          bool              `ovs:"is_connected"` // ephemeral
	LocalGateway         *string           `ovs:"local_gateway"`
	LocalIP              *string           `ovs:"local_ip"`
	LocalNetmask         *string           `ovs:"local_netmask"`
	MaxBackoff           *int64            `ovs:"max_backoff"`
	OtherConfig          map[string]string `ovs:"other_config"`
	Role                 *string           `ovs:"role"`   // ephemeral
	Status               map[string]string `ovs:"status"` // ephemeral
	Target               string            `ovs:"target"`
	Type                 *string           `ovs:"type"`
}

// Manager is a row of table Manager.
type Manager struct {
	UUID ovsdb.UUID

	ConnectionMode  *string           `ovs:"connection_mode"`
	ExternalIDs     map[string]string `ovs:"external_ids"`
	InactivityProbe *int64            `ovs:"inactivity_probe"`
	IsConnected     bool              `ovs:"is_connected"` // ephemeral
	MaxBackoff      *int64            `ovs:"max_backoff"`
	OtherConfig     map[string]string `ovs:"other_config"`
	Status          map[string]string `ovs:"status"` // ephemeral
	Target          string            `ovs:"target"`
}

// SSL is a row of table SSL.
type SSL struct {
	UUID ovsdb.UUID

	BootstrapCACert bool              `ovs:"bootstrap_ca_cert"`
	CACert          string            `ovs:"ca_cert"`
	Certificate     string            `ovs:"certificate"`
	ExternalIDs     map[string]string `ovs:"external_ids"`
	PrivateKey      string            `ovs:"private_key"`
}

// Mirror is a row of table Mirror.
type Mirror struct {
	UUID ovsdb.UUID

	ExternalIDs   map[string]string `ovs:"external_ids"`
	Name          string            `ovs:"name"`
	OutputPort    *ovsdb.UUID       `ovs:"output_port"` // Port
	OutputVLAN    *int64            `ovs:"output_vlan"`
	SelectAll     bool              `ovs:"select_all"`
	SelectDstPort []ovsdb.UUID      `ovs:"select_dst_port"` // Port
	SelectSrcPort []ovsdb.UUID      `ovs:"select_src_port"` // Port
	SelectVLAN    []int64           `ovs:"select_vlan"`
	Snaplen       *int64            `ovs:"snaplen"`
	Statistics    map[string]int64  `ovs:"statistics"` // ephemeral
}

// QoS is a row of table QoS.
type QoS struct {
	UUID ovsdb.UUID

	ExternalIDs map[string]string    `ovs:"external_ids"`
	OtherConfig map[string]string    `ovs:"other_config"`
	Queues      map[int64]ovsdb.UUID `ovs:"queues"` // Queue
	Type        string               `ovs:"type"`
}

// Queue is a row of table Queue.
type Queue struct {
	UUID ovsdb.UUID

	DSCP        *int64            `ovs:"dscp"`
	ExternalIDs map[string]string `ovs:"external_ids"`
	OtherConfig map[string]string `ovs:"other_config"`
}

// FlowTable is a row of table Flow_Table.
type FlowTable struct {
	UUID ovsdb.UUID

	ExternalIDs    map[string]string `ovs:"external_ids"`
	FlowLimit      *int64            `ovs:"flow_limit"`
	Groups         []string          `ovs:"groups"`
	Name           *string           `ovs:"name"`
	OverflowPolicy *string           `ovs:"overflow_policy"`
	Prefixes       []string          `ovs:"prefixes"`
}

// Datapath is a row of table Datapath.
type Datapath struct {
	UUID ovsdb.UUID

	Capabilities    map[string]string    `ovs:"capabilities"`
	CTZones         map[int64]ovsdb.UUID `ovs:"ct_zones"` // CT_Zone
	DatapathVersion string               `ovs:"datapath_version"`
	ExternalIDs     map[string]string    `ovs:"external_ids"`
}

// CTZone is a row of table CT_Zone.
type CTZone struct {
	UUID ovsdb.UUID

	ExternalIDs   map[string]string `ovs:"external_ids"`
	TimeoutPolicy *ovsdb.UUID       `ovs:"timeout_policy"` // CT_Timeout_Policy
}

// CTTimeoutPolicy is a row of table CT_Timeout_Policy.
type CTTimeoutPolicy struct {
	UUID ovsdb.UUID

	ExternalIDs map[string]string `ovs:"external_ids"`
	Timeouts    map[string]int64  `ovs:"timeouts"`
}

// NetFlow is a row of table NetFlow.
type NetFlow struct {
	UUID ovsdb.UUID

	ActiveTimeout    int64             `ovs:"active_timeout"`
	AddIDToInterface bool              `ovs:"add_id_to_interface"`
	EngineID         *int64            `ovs:"engine_id"`
	EngineType       *int64            `ovs:"engine_type"`
	ExternalIDs      map[string]string `ovs:"external_ids"`
	Targets          []string          `ovs:"targets"`
}

// SFlow is a row of table sFlow.
type SFlow struct {
	UUID ovsdb.UUID

	Agent       *string           `ovs:"agent"`
	ExternalIDs map[string]string `ovs:"external_ids"`
	Header      *int64            `ovs:"header"`
	Polling     *int64            `ovs:"polling"`
	Sampling    *int64            `ovs:"sampling"`
	Targets     []string          `ovs:"targets"`
}

// IPFIX is a row of table IPFIX.
type IPFIX struct {
	UUID ovsdb.UUID

	CacheActiveTimeout *int64            `ovs:"cache_active_timeout"`
	CacheMaxFlows      *int64            `ovs:"cache_max_flows"`
	ExternalIDs        map[string]string `ovs:"external_ids"`
	ObsDomainID        *int64            `ovs:"obs_domain_id"`
	ObsPointID         *int64            `ovs:"obs_point_id"`
	OtherConfig        map[string]string `ovs:"other_config"`
	Sampling           *int64            `ovs:"sampling"`
	Targets            []string          `ovs:"targets"`
}

// FlowSampleCollectorSet is a row of table Flow_Sample_Collector_Set.
type FlowSampleCollectorSet struct {
	UUID ovsdb.UUID

	Bridge      ovsdb.UUID        `ovs:"bridge"` // Bridge
	ExternalIDs map[string]string `ovs:"external_ids"`
	ID          int64             `ovs:"id"`
	IPFIX       *ovsdb.UUID       `ovs:"ipfix"` // IPFIX
}

// AutoAttach is a row of table AutoAttach.
type AutoAttach struct {
	UUID ovsdb.UUID

	Mappings          map[int64]int64 `ovs:"mappings"`
	SystemDescription string          `ovs:"system_description"`
	SystemName        string          `ovs:"system_name"`
}
