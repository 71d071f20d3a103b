  var conversationDetail = {
                       "skipBotEvent":'["WELCOME_EVENT"]'
                    };
		    
  Kommunicate.startConversation(conversationDetail, function (response) {
  });      
