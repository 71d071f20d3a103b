// @ts-check
/** What the page itself says, in the customer's language. The bot's words, and notices such as who has joined, are the bot's. */

const TEXTS = {
  en: {
    title: "Karoo Books · Help",
    motto: "New and second-hand, posted from the Great Karoo",
    help: "Help",
    startAgain: "New conversation",
    conversation: "Conversation",
    welcome: "Welcome! Ask about an order, our opening hours or a change of address. A person is only a word away.",
    suggestions: "Suggestions",
    suggestHours: "When are you open?",
    suggestOrder: "Where is my order?",
    suggestAddress: "Change my delivery address",
    suggestPerson: "I want to talk to a person",
    messages: "Messages",
    typing: "Typing…",
    refused:
      "This conversation can't be opened here: it was begun in another browser, or it has ended. Please press “New conversation” to begin another one.",
    yourMessage: "Your message",
    write: "Write a message",
    send: "Send",
    connecting: "Connecting…",
    online: "You are online",
    offline: "Offline: what you write is kept",
    closed: "Closed",
    bot: "Bot",
    waiting: "Waiting for a person",
    person: "A person",
    somebody: "a person",
    leaving: "Leaving…",
    isWaiting: "You are waiting for a person.",
    place: "You are number {place} in the queue.",
    aboutAMinute: "It takes about a minute.",
    aboutMinutes: "It takes about {minutes} minutes.",
    isTalking: "You are talking with {agent}.",
    leaveQueue: "Leave the queue",
    endChat: "End the chat",
    queueQuestion: "Leave the queue? You lose your place, and the bot helps you again.",
    chatQuestion: "End the chat with {agent}? The bot helps you again.",
    anewWhileTalking: "You are talking with {agent}. If you begin anew, that conversation ends.",
    anewWhileWaiting: "You are waiting for a person. If you begin anew, you lose your place.",
    anew: "Leave, and begin anew",
    stay: "Stay",
    tooLong:
      "That's too long: a message may have {most} characters, this one has {length}. Please shorten it, or send it in parts.",
    notSent: "Couldn't be sent",
    sending: "Sending…",
    waits: "Waits for the connection",
    delivered: "{time} · Delivered",
    read: "{time} · Read",
    answers: "Answers to choose from",
    picture: "A picture from the helpdesk",
    file: "A file",
    recording: "A recording",
    film: "A film",
    gone: "It isn't available any more.",
    map: "Show on a map",
    sendPlace: "Send where I am",
    myPlace: "I am here",
    attach: "Send pictures or files",
    again: "Try again",
    takeOut: "Take out {name}",
    fileTooLarge: "This file is too large. Please send a smaller one.",
    tooManyFiles: "No more pictures and files can be taken now. Please describe it in words.",
    fileDamaged: "This file can't be read. Please send another one.",
    noFiles: "Pictures and files aren't taken here. Please describe it in words.",
    fileNotSent: "It couldn't be sent.",
    fileWaits: "It couldn't be sent yet. It is tried again by itself.",
    takeOutFirst: "{name} can't be sent. Please take it out, then send your message.",
    newMessages: "New messages",
    noPlace: "Your browser doesn't say where you are. Please write it.",
    rateQuestion: "How was the chat?",
    rateHint: "1 is bad, 5 is very good.",
    rateScore: "{score} of 5",
    rateComment: "What was good, or wasn't? You needn't say.",
    rateDismiss: "Not now",
    rateThanks: "Thank you for telling us.",
  },
  af: {
    title: "Karoo Books · Hulp",
    motto: "Nuut en tweedehands, uit die Groot-Karoo gepos",
    help: "Hulp",
    startAgain: "Nuwe gesprek",
    conversation: "Gesprek",
    welcome: "Welkom! Vra oor 'n bestelling, ons ure of 'n nuwe adres. Jy kan enige tyd met 'n mens praat.",
    suggestions: "Voorstelle",
    suggestHours: "Wanneer is julle oop?",
    suggestOrder: "Waar is my bestelling?",
    suggestAddress: "Verander my afleweringsadres",
    suggestPerson: "Ek wil met 'n mens praat",
    messages: "Boodskappe",
    typing: "Tik…",
    refused:
      "Hierdie gesprek kan nie hier oopgemaak word nie: dit is in 'n ander blaaier begin, of dit is verby. Druk asseblief “Nuwe gesprek” om 'n ander een te begin.",
    yourMessage: "Jou boodskap",
    write: "Skryf 'n boodskap",
    send: "Stuur",
    connecting: "Verbind…",
    online: "Jy is aanlyn",
    offline: "Vanlyn: wat jy skryf, word gehou",
    closed: "Gesluit",
    bot: "Bot",
    waiting: "Wag vir 'n mens",
    person: "'n Mens",
    somebody: "'n mens",
    leaving: "Gaan weg…",
    isWaiting: "Jy wag vir 'n mens.",
    place: "Jy is nommer {place} in die tou.",
    aboutAMinute: "Dit duur omtrent 'n minuut.",
    aboutMinutes: "Dit duur omtrent {minutes} minute.",
    isTalking: "Jy praat met {agent}.",
    leaveQueue: "Verlaat die tou",
    endChat: "Beëindig die gesprek",
    queueQuestion: "Wil jy die tou verlaat? Jy verloor jou plek, en die bot help jou weer.",
    chatQuestion: "Wil jy die gesprek met {agent} beëindig? Die bot help jou weer.",
    anewWhileTalking: "Jy praat met {agent}. As jy oor begin, is daardie gesprek verby.",
    anewWhileWaiting: "Jy wag vir 'n mens. As jy oor begin, verloor jy jou plek.",
    anew: "Gaan weg, en begin oor",
    stay: "Bly",
    tooLong:
      "Dit is te lank: 'n boodskap mag {most} karakters hê, en hierdie een het {length}. Maak dit asseblief korter, of stuur dit in dele.",
    notSent: "Kon nie gestuur word nie",
    sending: "Stuur…",
    waits: "Wag vir die verbinding",
    delivered: "{time} · Afgelewer",
    read: "{time} · Gelees",
    answers: "Antwoorde om van te kies",
    picture: "'n Prent van die hulptoonbank",
    file: "'n Lêer",
    recording: "'n Opname",
    film: "'n Video",
    gone: "Dit is nie meer beskikbaar nie.",
    map: "Wys op 'n kaart",
    sendPlace: "Stuur waar ek is",
    myPlace: "Ek is hier",
    attach: "Stuur prente of lêers",
    again: "Probeer weer",
    takeOut: "Haal {name} uit",
    fileTooLarge: "Hierdie lêer is te groot. Stuur asseblief 'n kleiner een.",
    tooManyFiles: "Daar is nie nou plek vir meer prente en lêers nie. Beskryf dit asseblief in woorde.",
    fileDamaged: "Hierdie lêer kan nie gelees word nie. Stuur asseblief 'n ander een.",
    noFiles: "Prente en lêers word nie hier geneem nie. Beskryf dit asseblief in woorde.",
    fileNotSent: "Dit kon nie gestuur word nie.",
    fileWaits: "Dit kon nog nie gestuur word nie. Dit word vanself weer probeer.",
    takeOutFirst: "{name} kan nie gestuur word nie. Haal dit asseblief uit, en stuur dan jou boodskap.",
    newMessages: "Nuwe boodskappe",
    noPlace: "Jou blaaier sê nie waar jy is nie. Skryf dit asseblief.",
    rateQuestion: "Hoe was die gesprek?",
    rateHint: "1 is sleg, 5 is baie goed.",
    rateScore: "{score} uit 5",
    rateComment: "Wat was goed, of nie? Jy hoef niks te sê nie.",
    rateDismiss: "Nie nou nie",
    rateThanks: "Dankie dat jy ons laat weet.",
  },
};

/** @typedef {keyof typeof TEXTS} Language */
/** @typedef {keyof typeof TEXTS.en} TextName */

/**
 * Return the first of these languages that the page knows; English if it knows none.
 *
 * @param {readonly (string | null)[]} wanted such as "af-ZA"
 * @returns {Language}
 */
export function chosenLanguage(wanted) {
  const known = wanted.map((tag) => (tag ?? "").toLowerCase().split("-")[0]).find((tag) => Object.hasOwn(TEXTS, tag));
  return /** @type {Language} */ (known ?? "en");
}

/**
 * Return a text in a language, with these values in place of the names in braces.
 *
 * @param {Language} language
 * @param {TextName} name
 * @param {Record<string, string | number>} [values]
 */
export function textIn(language, name, values = {}) {
  return TEXTS[language][name].replaceAll(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

/** The names of all texts. */
export const TEXT_NAMES = /** @type {TextName[]} */ (Object.keys(TEXTS.en));
export const LANGUAGES = /** @type {Language[]} */ (Object.keys(TEXTS));

/** The customer's: `?lang=af`, else as their browser prefers. */
export const language = chosenLanguage(
  typeof location === "undefined" ? [] : [new URLSearchParams(location.search).get("lang"), ...navigator.languages],
);

/** Return a text in the customer's language. @param {TextName} name @param {Record<string, string | number>} [values] */
export function t(name, values) {
  return textIn(language, name, values);
}

/**
 * Put the texts into the page: `data-text` names an element's own, `data-label`, `data-placeholder` those of its attributes.
 *
 * @param {Document} page
 */
export function translate(page) {
  page.documentElement.lang = language;
  page.title = t("title");
  const name = (/** @type {string | undefined} */ given) => /** @type {TextName} */ (given);
  for (const element of page.querySelectorAll("[data-text], [data-label], [data-placeholder]")) {
    const { text, label, placeholder } = /** @type {HTMLElement} */ (element).dataset;
    if (text) element.textContent = t(name(text));
    if (label) element.setAttribute("aria-label", t(name(label)));
    if (placeholder) element.setAttribute("placeholder", t(name(placeholder)));
  }
}
