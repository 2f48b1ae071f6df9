"""True sentences about mobile networks, by language: what answers in scripts other than Latin look like."""

from __future__ import annotations

CHINESE = (
    "AMF负责终端的注册、连接和移动性管理。",
    "UPF转发用户面数据，并按照SMF下发的规则执行QoS。",
    "gNB由CU和DU组成，两者之间的接口是F1。",
    "5G的子载波间隔为15 kHz、30 kHz或60 kHz等。",
    "切换时，源基站通过Xn接口向目标基站发送切换请求。",
    "PDU会话由SMF建立，终端的IP地址也由它分配。",
    "网络切片用S-NSSAI标识，其中SST占8比特。",
)
JAPANESE = (
    "AMFは端末の登録と移動性を管理する。",
    "UPFはユーザプレーンのパケットを転送する。",
    "基地局はCUとDUに分割でき、その間のインタフェースはF1である。",
    "ハンドオーバーでは、移動元の基地局が「Handover Request」を送信します。",
    "サブキャリア間隔は15 kHzの2のべき乗倍です。",
)
UNSPACED = {
    "Han": CHINESE[0],
    "Katakana": JAPANESE[3],
    "Thai": "สถานีฐานส่งข้อมูลไปยังแกนเครือข่าย",
    "Lao": "ສະຖານີຖານສົ່ງຂໍ້ມູນ",
    "Khmer": "ស្ថានីយបញ្ជូនទិន្នន័យ",
    "Myanmar": "အခြေစိုက်စခန်းသည်ဒေတာပို့သည်",
}
SPACED = {
    "Cyrillic": "Базовая станция передаёт данные в ядро сети.",
    "Arabic": "ترسل المحطة القاعدية البيانات إلى الشبكة الأساسية.",
    "Devanagari": "बेस स्टेशन कोर नेटवर्क को डेटा भेजता है।",
    "Hangul": "기지국은 데이터를 코어망으로 전송한다.",
    "Greek": "Ο σταθμός βάσης στέλνει δεδομένα στο δίκτυο.",
}
