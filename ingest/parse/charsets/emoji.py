"""Maps the emoji of Japanese telephones from before Unicode had them.

Three carriers filled the same unused codes of Shift_JIS with signs of their own. Unicode 6.0 added them and published
which sign is which character: the tables are columns 0 to 3 of ``EmojiSources-15.0.0.txt`` of the Unicode Character
Database, put into another form (Copyright © 2022 Unicode, Inc.; see ``UNICODE-LICENSE.txt`` beside this file).
SoftBank's codes from FB41 on are left out: under that name mail has IBM's kanji there.
"""

from collections.abc import Iterator
from functools import cache

_TRAILS = tuple(trail for trail in range(0x40, 0xFD) if trail != 0x7F)
"""Second octets of Shift_JIS, in order."""
_PRIVATE = range(0xE000, 0xE758)
"""Private-use characters to which Python's codec cp932 maps the codes from F040 to F9FC, in order."""
_MISSING = "\ufffd"

_DOCOMO = """
    F89F ☀ ☁ ☔ ⛄ ⚡ 🌀 🌁 🌂 ♈ ♉ ♊ ♋ ♌ ♍ ♎ ♏ ♐ ♑ ♒ ♓ 🎽 ⚾ ⛳ 🎾 ⚽ 🎿 🏀 🏁 📟 🚃 Ⓜ 🚄 🚗 🚙 🚌
        🚢 ✈ 🏠 🏢 🏣 🏥 🏦 🏧 🏨 🏪 ⛽ 🅿 🚥 🚻 🍴 ☕ 🍸 🍺 🍔 👠 ✂ 🎤 🎥 ↗ 🎠 🎧 🎨 🎩 🎪 🎫 🚬 🚭 📷 👜 📖 🎀
        🎁 🎂 ☎ 📱 📝 📺 🎮 💿 ♥ ♠ ♦ ♣ 👀 👂 ✊ ✌ ✋ ↘ ↖ 👣 👟 👓 ♿
    F940 🌑 🌔 🌓 🌙 🌕 🐶 🐱 ⛵ 🎄 ↙ - - - - - - 🎬 👝 ✒ - - 👤 💺 🌃 - - - 🔜 🔛 🔚 ⏰ - - - - - - - - - - - -
        - - - - - - - 📲 📩 📠 - - ✉ - - 💴 🆓 🆔 🔑 ↩ 🆑 🔍 🆕 🚩 - #⃣ - 1⃣ 2⃣ 3⃣ 4⃣ 5⃣ 6⃣ 7⃣ 8⃣ 9⃣ 0⃣ ❤ 💓 💔
        💕 😃 😠 😞 😖 😵 ⤴ 🎵 ♨ 💠 💋 ✨ 💡 💢 👊 💣 🎶 ⤵ 💤 ❗ ⁉ ‼ 💥 💦 💧 💨 〰 ➰ 🆗 - - 👕 👛 💄 👖 🏂 🔔
        🚪 💰 💻 💌 🔧 ✏ 👑 💍 ⏳ 🚲 🍵 ⌚ 😔 😌 😅 😓 😡 😒 😍 👍 😜 😉 😆 😣 😏 😭 😢 🆖 📎 © ™ 🏃 ㊙ ♻ ® ⚠ 🈲
        🈳 🈴 🈵 ↔ ↕ 🏫 🌊 🗻 🍀 🍒 🌷 🍌 🍎 🌱 🍁 🌸 🍙 🍰 🍶 🍜 🍞 🐌 🐤 🐧 🐟 😋 😁 🐴 🐷 🍷 😱
"""
_KDDI = """
    F340 🍂 💼 ⛲ ⛺ 🀄 🆚 🏆 🐢 🇪🇸 🇷🇺 🚧 🛀 🎌 🌆 🐣 💹 👮 🏣 🏥 🏫 🏨 🚢 🔞 📶 🆒 🈹 🈂 🆔 🈵 🈳 🈯 🈺 👆 👇
        🔮 📳 📴 📝 👔 🌺 💐 🌵 🍶 🍻 ㊗ 💊 🎈 🎉 - 👒 👢 💅 💇 💈 👘 👙 ♥ 💖 💙 💚 💛 💜 ✨ 🎿 ⭕ 🍵 🍞 🍦 🍟
        🍡 🍘 🍚 🍝 🍛 🍢 🍣 🍎 🍊 🍅 🍆 🍱 🍲 😏 😔 😤 😣 😖 😪 😌 😨 😷 😳 😒 😲 😰 🎼 😊 😚 😘 👃 👄 🙏 👏 👌
        👎 👋 🙅 🙆 🙇 💑 👯 🎺 🎱 🏊 🚒 🚑 🚓 🎢 🎍 🎎 🎓 🎒 🎏 🌂 👰 🍧 🎇 🐚 🎐 🎃 🎑 🎅 🌃 🌈 🏩 🌅 🎩 🏬 🏯
        🏰 🏭 🇫🇷 🇩🇪 🇮🇹 🇬🇧 🇨🇳 🇰🇷 👱 👲 👳 👴 👵 👶 👷 👸 🐬 💃 🐠 🐛 🐘 🐨 🐮 🐍 🐔 🐗 🐫 🅰 🅱 🅾 🆎 👣 👟 🚩 ⤴ ⤵ ⁉
        ‼ ➰ 🍈 🍍 🍇 🍌 🌽 🍄 🌰 🍑 🍠 🍕
    F440 🍗 🎋 🍹 🐲 🎹 🏄 🎣 🎳 👹 👺 🐼 👅 🐽 🌼 🍨 🍩 🍪 🍫 🍬 🍭 🙈 🙊 🙉 🌋 💝 🔤 🍮 🐝 🐞 🍯 🍏 💸 💫 😡
        😾 🌌 😽 😺 📩 😹 😂 😻 🙀 😩 😿 😢 😼 👗 🗿 🚉 🎴 🃏 🍤 📧 🚶 🚨 - 💓 🐥 👖 💌 ♻ ↔ ↕ 🌊 🌱 🐌 😸 😁 -
        🌿 ✊ #⃣ 🙋 🙌 🙍 🙎
    F640 🌠 🌀 🚥 🏃 ❇ 🎡 🎰 🎊 🐳 😃 😠 😭 😫 💤 💡 💔 💕 ✴ 💣 🔥 ⏳ 🚬 🚭 ♿ 🔰 ⚠ ❗ ❓ ⛔ ⛄ 🌙 ⚡ ☀ 🌛 ❄ ⭐
        ☔ ☁ ⛅ ♈ ♉ ♊ ♋ ♌ ♍ ♎ ♏ ♐ ♑ ♒ ♓ ⛎ 👜 📔 🎫 📖 📎 ✏ 📐 🏧 🏪 🚻 🅿 🚏 📡 ⚓ 🏦 🏠 🍴 🏢 🚲 🚌
        🚅 🚗 🚚 ✈ ⛵ 🚃 ⚽ 🎾 🏂 🏁 ⚾ 🏈 ♨ 🏮 🎬 🌉 🗼 🍷 🍸 🍺 🍖 🎯 🎮 💰 🎲 🎄 🌸 👻 🇯🇵 🍉 🍁 🎁 🍰 🍳 🍒
        🐡 🍓 🍙 🍔 🐰 🐴 🐵 🐸 🐱 🐧 🐜 🐷 🐩 🐤 🐶 🌴 🌻 🌷 💢 💧 😜 🆘 💪 💘 💋 👾 🍥 🐾 👿 💮 ㊙ 💯 👊 💨 💩
        ☝ 🉐 💀 👍 👩 ☺ 👨 💬 👓 👈 👉 👪 📺 🎤 👛 🎶 🎸 🎻 🎧 💄 🔫 💆 💿 👚 👽 🆙 💉 🔊 🔔 🍀 💍 📷 ✂ 🎥 🔍 🔑
        👠 📪 🔒 📛 📞 📦 📠 ✉ 1⃣ 2⃣
    F740 3⃣ 4⃣ 5⃣ 6⃣ 7⃣ 8⃣ 9⃣ 🔟 - ◀ ▶ ⏪ ⏩ ▫ ▪ ℹ ◽ ◾ 🔸 🔹 ◻ ◼ ⚪ ⚫ ➕ ➖ ✳ ⬆ ⬇ 🚫 🔽 🔼 ⏬ ⏫ 🔶 🔷 ⬜ ⬛
        🔴 🔵 ↖ ↘ ™ ✖ ❌ ❎ ➡ ⬅ ➗ ↗ ↙ ✔ © ® 🔺 🔻 ↪ ↩ ✅ 📜 📍 📃 💾 📅 📋 📗 📘 📙 📕 📄 📆 📓 📇 📌 📒 📚 📏
        ⛽ 🗾 🇺🇸 📊 📈 📉 - 🆓 💲 ⌚ ⌛ 💳 💴 📹 🔪 📼 🔩 💽 🔦 🔋 💵 - 🔧 📱 🔌 🔗 📰       📁 📂 📨 📤 📥 ⏰ ❤
        ☎ ☕ 🌁 ⛳ 🏀 📟 🎨 🎭 🎪 🎀 🎂 ♠ ♦ ♣ 👀 👂 ✌ ✋ 🌑 🌔 🌓 🆑 0⃣ 🆗 😵 💞 💥 💦 - 🌏 🍜 - 🔐 🔠 🔡 🔢 🔣
        🉑 ☑ ✒ 🔘 🔎 🔙 🔖 📲 🏡 📫 📑 🔏 🔃 🆕 👕 👞 💻 📻 🌹 ⛪ 🚇 🗻 🎵 👼 🐯 🐻 🐭 😉 😍 😱 😓 🐙 🚀 👑 💏
        🔨 🎆
"""
_SOFTBANK = """
    F741 📫 📮 📩 📲 😜 😍 😱 😓 🐵 🐙 🐷 👽 🚀 👑 💡 🍀 💏 🎁 🔫 🔍 🏃 🔨 🎆 🍁 🍂 👿 👻 💀 🔥 💼 💺 🍔 ⛲ ⛺ ♨
        🎡 🎫 💿 📀 📻 📼 📺 👾 〽 🀄 🆚 💰 🎯 🏆 🏁 🎰 🐎 🚤 🚲 🚧 🚹 🚺 🚼 💉 💤 ⚡ 👠 🛀 🚽 🔊 📢 🎌 🔒 🔓 🌆
        🍳 📖 💱 💹 📡 💪 🏦 🚥 🅿 🚏 🚻 👮 🏣 🏧 🏥 🏪 🏫 🏨 🚌 🚕 - - - - - 🚶 🚢 🈁 💟 ✴ ✳ 🔞 🚭 🔰 ♿ 📶 ♥ ♦
        ♠ ♣ #⃣ - 🆕 🆙 🆒 🈶 🈚 🈷 🈸 🔴 🔲 🔳 1⃣ 2⃣ 3⃣ 4⃣ 5⃣ 6⃣ 7⃣ 8⃣ 9⃣ 0⃣ 🉐 🈹 🈂 🆔 🈵 🈳 🈯 🈺 👆 👇 👈 👉
        ⬆ ⬇ ➡ ⬅ ↗ ↖ ↘ ↙ ▶ ◀ ⏩ ⏪ 🔯 ♈ ♉ ♊ ♋ ♌ ♍ ♎ ♏ ♐ ♑ ♒ ♓ ⛎ 🔝 🆗 © ® 📳 📴 ⚠ 💁
    F941 👦 👧 💋 👨 👩 👕 👟 📷 ☎ 📱 📠 💻 👊 👍 ☝ ✊ ✌ ✋ 🎿 ⛳ 🎾 ⚾ 🏄 ⚽ 🐟 🐴 🚗 ⛵ ✈ 🚃 🚅 ❓ ❗ ❤ 💔 🕐
        🕑 🕒 🕓 🕔 🕕 🕖 🕗 🕘 🕙 🕚 🕛 🌸 🔱 🌹 🎄 💍 💎 🏠 ⛪ 🏢 🚉 ⛽ 🗻 🎤 🎥 🎵 🔑 🎷 🎸 🎺 🍴 🍸 ☕ 🍰 🍺
        ⛄ ☁ ☀ ☔ 🌙 🌄 👼 🐱 🐯 🐻 🐶 🐭 🐳 🐧 😊 😃 😞 😠 💩 - - - - - 📝 👔 🌺 🌷 🌻 💐 🌴 🌵 🚾 🎧 🍶 🍻 ㊗
        🚬 💊 🎈 💣 🎉 ✂ 🎀 ㊙ 💽 📣 👒 👗 👡 👢 💄 💅 💆 💇 💈 👘 👙 👜 🎬 🔔 🎶 💓 💗 💘 💙 💚 💛 💜 ✨ ⭐ 💨
        💦 ⭕ ❌ 💢 🌟 ❔ ❕ 🍵 🍞 🍦 🍟 🍡 🍘 🍚 🍝 🍜 🍛 🍙 🍢 🍣 🍎 🍊 🍓 🍉 🍅 🍆 🎂 🍱 🍲
"""
"""For each lead octet the first code, and the characters from there on; a hyphen where Unicode has none."""

_TABLES = {"DoCoMo": _DOCOMO, "KDDI": _KDDI, "SoftBank": _SOFTBANK}


@cache
def _table(carrier: str) -> dict[int, str]:
    """Return the emoji of a carrier by their code in Shift_JIS."""
    return dict(_entries(_TABLES[carrier].split()))


def _entries(words: list[str]) -> Iterator[tuple[int, str]]:
    lead = index = 0
    for word in words:
        if len(word) == 4 and word.isalnum():
            lead, trail = bytes.fromhex(word)
            index = _TRAILS.index(trail)
        else:
            yield lead << 8 | _TRAILS[index], _MISSING if word == "-" else word
            index += 1


def kddi_emoji(lead: int, trail: int) -> str | None:
    """Return KDDI's emoji for a code of Shift_JIS: U+FFFD if Unicode has none, ``None`` if KDDI has none."""
    return _table("KDDI").get(lead << 8 | trail)


def replace_carrier_emoji(text: str) -> tuple[str, str]:
    """Replace the carriers' emoji in text that the codec cp932 decoded. Return the text and the name of the carrier.

    The carriers' codes overlap. The first carrier whose table has all codes of the text is taken, the one most used in
    mail first. If none has them all, they are no emoji but private characters: they stay, and the name is ``""``. An
    emoji that Unicode lacks becomes U+FFFD.
    """
    codes = {character: _code(character) for character in set(text) if ord(character) in _PRIVATE}
    for carrier in _TABLES if codes else ():
        table = _table(carrier)
        if all(code in table for code in codes.values()):
            return text.translate({ord(private): table[code] for private, code in codes.items()}), carrier
    return text, ""


def _code(character: str) -> int:
    lead, trail = divmod(ord(character) - _PRIVATE.start, len(_TRAILS))
    return (0xF0 + lead) << 8 | _TRAILS[trail]
