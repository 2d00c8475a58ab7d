# SPDX-License-Identifier: Apache-2.0
"""Second source of vectors: os-ken's encoder and decoder (python3-os-ken).

"encode": prints lines "VERSION HEX TEXT": a flow_mod of os-ken's making and
what it means, in the words of ovs-ofctl, written by hand beside it.
"decode": reads hexadecimal messages, one a line, and prints for each the name of the
class that os-ken reads it as, with its fields.
"""
import sys
from os_ken.ofproto import ofproto_parser, ofproto_protocol
from os_ken.ofproto import ofproto_v1_0, ofproto_v1_3, ofproto_v1_4, ofproto_v1_5  # noqa: F401 (the versions that are there)


def dp(v):
    return ofproto_protocol.ProtocolDesc(version=v)


def out(msg, text):
    msg.xid = 0
    msg.serialize()
    print(msg.datapath.ofproto.OFP_VERSION, bytes(msg.buf).hex(), text)


def encode10():
    d = dp(1)
    o, p = d.ofproto, d.ofproto_parser
    m = p.OFPMatch(in_port=3, dl_type=0x800, nw_proto=6, nw_dst='10.0.0.0', nw_dst_mask=8, tp_dst=80)
    a = [p.OFPActionVlanVid(10), p.OFPActionSetNwSrc('1.2.3.4'), p.OFPActionOutput(2)]
    out(p.OFPFlowMod(d, m, cookie=7, command=o.OFPFC_ADD, priority=9, actions=a),
        'tcp,in_port=3,nw_dst=10.0.0.0/8,tp_dst=80 actions=mod_vlan_vid:10,mod_nw_src:1.2.3.4,output:2')
    m = p.OFPMatch(dl_src='00:11:22:33:44:55', dl_vlan=5, dl_vlan_pcp=3)
    a = [p.OFPActionStripVlan(), p.OFPActionEnqueue(4, 7), p.OFPActionOutput(o.OFPP_FLOOD)]
    out(p.OFPFlowMod(d, m, cookie=7, command=o.OFPFC_ADD, priority=9, actions=a),
        'dl_vlan=5,dl_vlan_pcp=3,dl_src=00:11:22:33:44:55 actions=strip_vlan,enqueue:4:7,FLOOD')
    a = [p.OFPActionSetTpDst(443)]
    m = p.OFPMatch(dl_type=0x800, nw_proto=17)
    out(p.OFPFlowMod(d, m, cookie=7, command=o.OFPFC_ADD, priority=9, actions=a), 'udp actions=mod_tp_dst:443')


def encode1x(v):
    d = dp(v)
    o, p = d.ofproto, d.ofproto_parser

    def add(match, insts, text, **kw):
        out(p.OFPFlowMod(d, cookie=7, table_id=3, command=o.OFPFC_ADD, priority=9, match=match, instructions=insts, **kw), text)

    def apply(*acts):
        return p.OFPInstructionActions(o.OFPIT_APPLY_ACTIONS, list(acts))

    add(p.OFPMatch(in_port=1, eth_type=0x800, ip_proto=6, ipv4_dst=('10.0.0.0', '255.0.0.0'), tcp_dst=80),
        [apply(p.OFPActionPushVlan(0x8100), p.OFPActionSetField(vlan_vid=0x100a), p.OFPActionOutput(2)), p.OFPInstructionGotoTable(5)],
        'tcp,in_port=1,nw_dst=10.0.0.0/8,tp_dst=80 actions=push_vlan:0x8100,set_field:4106->vlan_vid,output:2,goto_table:5')
    add(p.OFPMatch(eth_dst=('01:00:00:00:00:00', '01:00:00:00:00:00'), vlan_vid=0x1005),
        [p.OFPInstructionActions(o.OFPIT_WRITE_ACTIONS, [p.OFPActionPopVlan(), p.OFPActionGroup(6)]),
         p.OFPInstructionWriteMetadata(5, 0xff)],
        'dl_vlan=5,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=write_actions(pop_vlan,group:6),write_metadata:0x5/0xff')
    add(p.OFPMatch(eth_type=0x86dd, ip_proto=58, icmpv6_type=135, icmpv6_code=0, ipv6_nd_target='fe80::1'),
        [apply(p.OFPActionOutput(o.OFPP_CONTROLLER, 128))],
        'icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::1 actions=CONTROLLER:128')
    add(p.OFPMatch(eth_type=0x806, arp_op=1, arp_tpa='10.0.0.1', metadata=(5, 7), tunnel_id=9),
        [apply(p.NXActionRegMove('eth_src', 'eth_dst', 48), p.NXActionRegLoad2('arp_op', 2), p.NXActionResubmitTable(0xfff8, 5))],
        'arp,tun_id=0x9,metadata=0x5/0x7,arp_tpa=10.0.0.1,arp_op=1 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:2->arp_op,resubmit(,5)')
    add(p.OFPMatch(eth_type=0x800), [apply(p.OFPActionDecNwTtl(), p.OFPActionSetNwTtl(9), p.OFPActionSetQueue(4), p.OFPActionOutput(o.OFPP_NORMAL))],
        'ip actions=dec_ttl,mod_nw_ttl:9,set_queue:4,NORMAL')


def decode():
    for line in sys.stdin:
        b = bytes.fromhex(line.strip())
        v, typ, n, xid = ofproto_parser.header(b)
        d = dp(v)
        m = ofproto_parser.msg(d, v, typ, n, xid, b)
        print(type(m).__name__, m)


if __name__ == '__main__':
    if sys.argv[1] == 'encode':
        encode10()
        for v in (4, 5, 6):
            encode1x(v)
    else:
        decode()
