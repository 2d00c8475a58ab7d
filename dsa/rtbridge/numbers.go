// SPDX-License-Identifier: Apache-2.0

package rtbridge

// linux/if_link.h and if_bonding.h, what golang.org/x/sys/unix does not have.
const (
	brAgeing         = 4  // IFLA_BR_AGEING_TIME, u32, clock ticks of 10 ms (USER_HZ)
	brStpState       = 5  // IFLA_BR_STP_STATE, u32
	brVLANFiltering  = 7  // IFLA_BR_VLAN_FILTERING, u8
	brMcastSnooping  = 23 // IFLA_BR_MCAST_SNOOPING, u8
	brDefaultPVID    = 39 // IFLA_BR_VLAN_DEFAULT_PVID, u16
	brMultiBool      = 46 // IFLA_BR_MULTI_BOOLOPT, struct br_boolopt_multi: value, mask
	boolMST          = 1 << 2
	brportState      = 1
	brportMode       = 4 // hairpin
	brportLearning   = 8
	brportFlood      = 9
	brportFlush      = 24
	brportMcastFlood = 27
	brportBcastFlood = 30
	brportIsolated   = 33
	brportLocked     = 39

	bondMode       = 1
	bondHashPolicy = 14

	vethPeer = 1 // VETH_INFO_PEER
)

// linux/if_bridge.h.
const (
	bridgeFlags    = 0 // IFLA_BRIDGE_FLAGS, u16
	bridgeVLANInfo = 2 // IFLA_BRIDGE_VLAN_INFO, struct bridge_vlan_info: flags, vid
	bridgeMST      = 6
	mstEntry       = 1
	mstMSTI        = 1
	mstState       = 2

	flagMaster = 1
	flagSelf   = 2

	vlanPVID       = 1 << 1
	vlanUntagged   = 1 << 2
	vlanRangeBegin = 1 << 3
	vlanRangeEnd   = 1 << 4

	filterVLANs = 1 << 2 // RTEXT_FILTER_BRVLAN_COMPRESSED
	filterMST   = 1 << 7 // RTEXT_FILTER_MST

	mdbaMDB         = 1
	mdbaEntry       = 1
	mdbaInfo        = 1
	mdbaSetEntry    = 1
	mdbEntryLen     = 28 // struct br_mdb_entry
	mdbPermanent    = 1
	mdbOffload      = 1 << 0
	brPortMsgLen    = 8
	ethPIP          = 0x0800
	ethPIPv6        = 0x86dd
	protoL2         = 0
	userSTP         = 2 // BR_USER_STP, net/bridge/br_private.h; 1 is the kernel's own
	stateDisabled   = 0 // BR_STATE_*
	stateListening  = 1
	stateLearning   = 2
	stateForwarding = 3
	stateBlocking   = 4
)

// linux/neighbour.h.
const (
	ndaLLAddr  = 2
	ndaVLAN    = 5
	ndaIfindex = 8
	ndaMaster  = 9
	ndmsgLen   = 12

	ntfSelf       = 1 << 1
	ntfMaster     = 1 << 2
	ntfExtLearned = 1 << 4
	ntfOffloaded  = 1 << 5
	ntfSticky     = 1 << 6

	nudNoARP     = 0x40
	nudPermanent = 0x80

	nlmBulk = 0x200 // NLM_F_BULK, linux/netlink.h
)

// linux/rtnetlink.h, pkt_sched.h, pkt_cls.h and tc_act/.
const (
	tcmsgLen      = 20
	tcaKind       = 1
	tcaOptions    = 2
	tcaHWOffload  = 12
	clsactParent  = 0xfffffff1
	clsactHandle  = 0xffff0000
	ingressParent = 0xfffffff2
	egressParent  = 0xfffffff3
	rootParent    = 0xffffffff
	ethPAllNet    = 0x0003 // ETH_P_ALL, to be written in network order

	matchallAct   = 2
	matchallFlags = 3
	skipSW        = 1 << 1
	inHW          = 1 << 2
	verbose       = 1 << 4

	actKind      = 1
	actOptions   = 2
	mirredParms  = 2
	mirredLen    = 28
	egressMirror = 2
	policeTBF    = 1
	policeRate   = 2
	policeResult = 5
	policeRate64 = 8
	policePkts   = 10
	policePBurst = 11
	policeLen    = 56
	rtabLen      = 1024
	actPipe      = 3
	actShot      = 2

	tbfParms   = 1
	tbfRTab    = 2
	tbfRate64  = 4
	tbfBurst   = 6
	tbfQoptLen = 36
)
