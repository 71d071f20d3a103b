 "skipBotEvent":'["WELCOME_EVENT"]'
