// @ts-check
/**
 * The payloads of docs/protocol.md, section "/desk", and the page's state, as types. Nothing runs here.
 *
 * @typedef {{name: string, title: string | null, open: boolean, staffed: boolean,
 *   wait: number | null}} Department
 * @typedef {{id: string, name: string}} Agent
 * @typedef {{name: string | null, email: string | null, phone: string | null}} Contact
 * Where a picture or a file is: stored under `id`, or elsewhere at `url`.
 * @typedef {{id?: string | null, url?: string | null, name?: string | null, type?: string | null,
 *   size?: number | null}} Media
 * @typedef {{title: string, payload?: string | null, url?: string | null}} Button
 * @typedef {{type: "text", text: string}} TextPart
 * @typedef {{type: "image" | "file" | "audio" | "video", media: Media}} MediaPart
 * @typedef {{type: "location", latitude: number, longitude: number, name?: string | null,
 *   address?: string | null}} LocationPart
 * @typedef {{type: "contact", name?: string | null, phone?: string | null, email?: string | null}} ContactPart
 * @typedef {{type: "buttons", buttons: Button[], quick?: boolean}} ButtonsPart
 * @typedef {{type: "card", title?: string | null, subtitle?: string | null, image?: Media | null,
 *   buttons?: Button[]}} CardPart
 * @typedef {{type: "custom", json: any}} CustomPart
 * @typedef {TextPart | MediaPart | LocationPart | ContactPart | ButtonsPart | CardPart | CustomPart} Part
 * @typedef {{speaker: "customer" | "bot" | "agent" | "system", text: string, at: number, parts?: Part[]}} Line
 * @typedef {{name: string, type: string, values: any[] | null}} Slot
 * @typedef {{slots: Record<string, any>, intents: {name: string, confidence: number}[],
 *   form: string | null, settable: Slot[]}} BotState
 * @typedef {"stored" | "waiting" | "delivered" | "read" | "failed"} Status
 * @typedef {{id: string, seq: number, speaker: "customer" | "agent" | "system", agent: string | null,
 *   text: string, at: number, status: Status, reason: string | null, parts?: Part[]}} Message
 * What the customer's channel makes of an agent's message.
 * @typedef {{name: string, images: string, files: string, cards: string, buttons: string, longest_text: number | null,
 *   in_bytes: boolean, most_buttons: number | null, longest_title: number | null, most_staying?: number | null, longest_above?: number | null, largest_image: number | null,
 *   largest_file: number | null, file_types: string[], paragraphs: boolean, costly: boolean}} Presentation
 * @typedef {{handoff_id: string, bot_id: string, short_id: string,
 *   state: "queued" | "assigned" | "message" | "ended", title: string, department: string | null, agent: Agent | null,
 *   reason: string | null, priority: "low" | "normal" | "high" | "urgent", language: string | null,
 *   channel: {name: string, push: boolean, presentation?: Presentation | null}, queued_at: number, assigned_at: number | null,
 *   ahead: boolean, reminders: number, customer_is_away: boolean, last: Message | null, words: string | null,
 *   ended: {outcome: string | null, note: string | null, at: number,
 *   followed_up?: boolean} | null, unread?: boolean}} Summary `unread`: ours, of one that has ended and waits to be read
 * @typedef {{contact: Contact, note: string | null, transcript: Line[],
 *   transcript_follows: boolean, bot: BotState}} Details
 * @typedef {Summary & Details & {messages: Message[]}} Conversation
 * @typedef {{id: string, name: string, email: string, online: boolean, departments: string[], role?: string}} Me
 *
 * An acknowledgement. `code` "offline" is our own: no answer came, the message is kept.
 * @typedef {{ok: boolean, code?: string, error?: string, conversation?: Conversation,
 *   message?: Message, addresses?: Record<string, string>, media?: Media}} Answer
 *
 * A part of a message that the server doesn't have yet, and its agent. `key`: ours; that of a file in `file-storage.js` too.
 * @typedef {Part & {key: string, agent?: string}} UnsentPart
 * A message the server hasn't acknowledged yet, and its agent. `problem`: why it was refused; null on its way. `parts`: as of
 * Message, but what of its files has no id is still to be uploaded; `delayed`: that has failed, and is tried again in a while.
 * @typedef {{id: string, handoff_id: string, agent: string, text: string, at: number,
 *   problem: string | null, parts: UnsentPart[], delayed?: boolean}} Unsent
 * A passing message to the agent. `handoff_id`: the conversation it is about, to be opened from it.
 * @typedef {{id: string, text: string, kind: "info" | "problem", handoff_id?: string}} Toast
 * The conversations of each list, in its order.
 * @typedef {{queue: Summary[], mine: Summary[], others: Summary[], left: Summary[], followUps: Summary[]}} Lists
 */

/**
 * @template T
 * @typedef {import("./persistent-map.js").PersistentMap<T>} PersistentMap
 */

/**
 * @typedef {object} State
 * @property {"connecting" | "online" | "interrupted" | "offline" | "refused"} connection interrupted: not shown yet, since most pass
 * @property {string | null} refusal the server's sentence when it refused the connection
 * @property {Me | null} me
 * @property {Department[]} departments
 * @property {string[]} outcomes
 * @property {PersistentMap<Summary>} summaries every conversation the desk knows, by handoff_id
 * @property {Lists} lists the same in the lists of the left column; of ended ones only those to be followed up, or read
 * @property {PersistentMap<Details>} details what opening a conversation adds
 * @property {PersistentMap<Message[]>} messages in order of seq
 * @property {Map<string, number>} seen the largest seq this agent has seen, the conversation seen last at the end
 * @property {PersistentMap<boolean>} typing customers who are typing
 * @property {Unsent[]} unsent
 * @property {{handoff_id: string, text: string} | null} returned the words of a message that the agent has taken back
 * @property {number | null | undefined} largestFile bytes of the largest file that may be sent; null if none may be
 * @property {PersistentMap<UnsentPart[]>} attached what goes with the next message of a conversation
 * @property {PersistentMap<number>} uploads how much of each file on its way is sent, 0 to 1, by key
 * @property {string | null} selected the conversation in the middle
 * @property {"resolve" | "transfer" | "help" | "choices" | null} dialog
 * @property {Toast[]} toasts
 * @property {boolean} sound whether arrivals and messages make a sound
 * @property {"default" | "granted" | "denied"} permission for desktop notifications
 * @property {string} day today, since times are shown with the day when it is another one
 *
 * @typedef {{type: string, [key: string]: any}} DeskEvent what the reducer takes
 */
export {};
